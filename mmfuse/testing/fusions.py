"""What every fusion of features keeps, for the kit's flows or those that the caller gives."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmfuse import FeatureFusion, Features, Fused, SpecError
from mmfuse.testing import modules
from mmfuse.testing.flows import CASES, Flows, Gives, all_present, features_of, flows_of, mixed_flows
from mmfuse.testing.kit import Given, Refusal, need


def _build(part: FeatureFusion, flows: Flows) -> Callable[[], nn.Module]:
    return lambda: part.build(flows)


def _fused(module: nn.Module, features: dict[str, Features], present: dict[str, Tensor]) -> Fused:
    given = module(features, present)
    return given if isinstance(given, Fused) else Fused(given)


def _rows(features: dict[str, Features], index: slice) -> dict[str, Features]:
    return {
        name: Features(
            each.vector[index],
            tuple(level[index] for level in each.maps),
            None if each.tokens is None else each.tokens[index],
        )
        for name, each in features.items()
    }


def gives_one_finite_vector_a_case_for_1_and_3_cases(part: FeatureFusion, given: Given) -> None:
    flows = flows_of(part, given)
    module = modules.made(_build(part, flows)).eval()
    with torch.no_grad():
        one, three = (_fused(module, features_of(flows, n), all_present(flows, n)).vector for n in (1, 3))
    need(three.ndim == 2 and len(three) == 3 and len(one) == 1, f"{tuple(three.shape)} for 3 cases", "(3, width)")
    need(one.shape[1] == three.shape[1], f"width {one.shape[1]} for 1 case, {three.shape[1]} for 3", "one width")
    need(bool(torch.isfinite(three).all()), "the fused vector is not finite", "finite numbers")


def takes_an_image_beside_a_table_or_refuses_with_a_mend(part: FeatureFusion, given: Given) -> None:
    """Not every modality gives maps and tokens: a plan that joins them is built, or refused in words."""
    for words, flows in mixed_flows(part, given).items():
        try:
            module = modules.made(_build(part, flows)).eval()
        except SpecError as refusal:
            mend = 'SpecError(…, mend="an encoder that gives maps for every modality")'
            need(bool(refusal.faults[0].mend), f"refuses {words} without a mend", "the mend beside", mend)
            continue
        except Exception as error:
            found = f"fails on {words}: {type(error).__name__}: {error}"
            raise Refusal(found, "a module, or a SpecError with the mend", "look at each flow's `maps`") from error
        features = {name: _declared(part, each) for name, each in features_of(flows, 2).items()}
        for here in (None, *flows):
            present = {name: torch.full((2,), here in (None, name)) for name in flows}
            with torch.no_grad():
                vector = _fused(module, features, present).vector
            who = "all are present" if here is None else f"only '{here}' is present"
            need(bool(torch.isfinite(vector).all()), f"not finite for {words} where {who}", "finite numbers")


def keeps_cases_apart(part: FeatureFusion, given: Given) -> None:
    flows = flows_of(part, given)
    module = modules.made(_build(part, flows)).eval()
    features, present = features_of(flows), all_present(flows)
    with torch.no_grad():
        among = _fused(module, features, present).vector[:1]
        alone = _fused(module, _rows(features, slice(0, 1)), all_present(flows, 1)).vector
    need(
        modules.same(alone, among),
        f"case 1 differs by {modules.difference(alone, among)} alone and among {CASES}",
        "0",
        "no sum over cases",
    )


def leaves_its_input_and_the_random_state_alone(part: FeatureFusion, given: Given) -> None:
    flows = flows_of(part, given)
    module = modules.made(_build(part, flows)).eval()
    features, present = features_of(flows), all_present(flows)
    with modules.leaving_random_state_alone(), torch.no_grad():
        module(features, present)
    untouched = all(
        torch.equal(a, b) for a, b in zip(modules.tensors(features), modules.tensors(features_of(flows)), strict=True)
    )
    need(untouched, "changes its input in place", "the input left alone", "x = x * 2, not x.mul_(2)")


def _declared(part: FeatureFusion, features: Features) -> Features:
    """What is kept of these for a fusion that declares what it reads."""
    count = len(features.maps)
    named = part.map_levels or range(count)
    declared = {level % count for level in named if -count <= level < count} if "maps" in part.needs else set()
    maps = tuple(level if i in declared else level[..., :0, :0] for i, level in enumerate(features.maps))
    return Features(features.vector, maps, features.tokens if "tokens" in part.needs else None)


def reads_only_what_it_declares(part: FeatureFusion, given: Given) -> None:
    """Of frozen encoders nothing else is kept: a map that is not declared has no places there."""
    flows = flows_of(part, given)
    module = modules.made(_build(part, flows)).eval()
    features, present = features_of(flows), all_present(flows)
    kept = {name: _declared(part, each) for name, each in features.items()}
    mend = "name in `needs` and `map_levels` all that is read"
    with torch.no_grad():
        whole = _fused(module, features, present).vector
        try:
            alone = _fused(module, kept, present).vector
        except Exception as error:
            raise Refusal(f"fails without what it does not declare: {error}", "the same vector", mend) from error
    need(modules.same(whole, alone), "reads maps or tokens that it does not declare", "the same vector", mend)


def runs_every_presence_pattern(part: FeatureFusion, given: Given) -> None:
    flows = flows_of(part, given)
    module = modules.made(_build(part, flows))
    patterns = [[bool(number >> k & 1) for k in range(len(flows))] for number in range(1, 2 ** len(flows))]
    for mode in (True, False):
        module.train(mode)
        for pattern in patterns:
            present = {name: torch.full((2,), here) for name, here in zip(flows, pattern, strict=True)}
            with modules.seeded(4), torch.no_grad():
                vector = _fused(module, features_of(flows, 2), present).vector
            here = [name for name, yes in zip(flows, pattern, strict=True) if yes]
            need(
                bool(torch.isfinite(vector).all()),
                f"not finite where only {here} of {sorted(flows)} are present",
                "finite",
                "mind empty sums",
            )


def does_not_mind_the_order_of_modalities(part: FeatureFusion, given: Given) -> None:
    flows = flows_of(part, given)
    turned = dict(reversed(list(flows.items())))
    first, second = modules.made(_build(part, flows)).eval(), modules.made(_build(part, turned), seed=3).eval()
    second.load_state_dict(first.state_dict())
    features, present = features_of(flows), all_present(flows)
    shuffled = {name: features[name] for name in turned}, {name: present[name] for name in turned}
    with torch.no_grad():
        plain = _fused(first, features, present).vector
        called, built = (_fused(module, *shuffled).vector for module in (first, second))
    mend = "go by name: iterate sorted(flows)"
    need(
        modules.same(plain, called),
        f"differs by {modules.difference(plain, called)} when called in another order",
        "0",
        mend,
    )
    need(
        modules.same(plain, built),
        f"differs by {modules.difference(plain, built)} when built in another order",
        "0",
        mend,
    )


def is_symmetric_if_it_says_so(part: FeatureFusion, given: Given) -> None:
    if not part.symmetric:
        return
    flows = flows_of(part, given)
    module = modules.made(_build(part, flows)).eval()
    features, present = features_of(flows), all_present(flows)
    one_name, other_name = [*flows][:2]
    if flows[one_name] != flows[other_name]:
        return  # what is of unequal shape cannot be exchanged
    exchanged = {**features, one_name: features[other_name], other_name: features[one_name]}
    with torch.no_grad():
        one, other = (_fused(module, each, present).vector for each in (features, exchanged))
    found = f"differs by {modules.difference(one, other)} when '{one_name}' and '{other_name}' are exchanged"
    need(
        modules.same(one, other),
        found,
        "0, as `symmetric` says",
        "symmetric = False, or an operation that does not tell them apart",
    )


def refuses_or_takes_unequal_widths(part: FeatureFusion, given: Given) -> None:
    flows = flows_of(part, given)
    first = next(iter(flows))
    flows = {**flows, first: flows[first]._replace(width=flows[first].width + 4)}
    try:
        module = part.build(flows).eval()
    except SpecError as refusal:
        need(
            bool(refusal.faults[0].mend),
            "refuses unequal widths without a mend",
            "the mend beside",
            'SpecError(…, mend="width = 256")',
        )
        return
    with torch.no_grad():
        module(features_of(flows), all_present(flows))


def lets_the_gradient_reach_every_trainable_weight(part: FeatureFusion, given: Given) -> None:
    flows = flows_of(part, given)
    module = modules.made_to_learn(_build(part, flows))
    if any(weight.requires_grad for weight in module.parameters()):
        features = features_of(flows)
        # in the first case all are present: what one does to another is seen there
        present = {name: torch.arange(CASES) != k + 1 for k, name in enumerate(flows)}
        with modules.seeded(2):
            fused = _fused(module, features, present)
            modules.every_weight_learns(module, modules.tensors((fused.vector, fused.views, fused.losses)))


def gives_well_formed_views_and_losses(part: FeatureFusion, given: Given) -> None:
    flows = flows_of(part, given)
    module = modules.made(_build(part, flows)).train()
    with modules.seeded(2):
        fused = _fused(module, features_of(flows), all_present(flows))
    for name, (vector, weight) in fused.views.items():
        need(
            vector.shape == fused.vector.shape,
            f"view '{name}' {tuple(vector.shape)}",
            f"{tuple(fused.vector.shape)}, as the fused vector",
        )
        need(weight.shape == (CASES,), f"the weight of view '{name}' {tuple(weight.shape)}", f"({CASES},), one a case")
    for name, loss in fused.losses.items():
        need(loss.shape == () and bool(torch.isfinite(loss)), f"loss '{name}' {tuple(loss.shape)}", "one finite number")


def comes_back_from_its_state_dict(part: FeatureFusion, given: Given) -> None:
    flows = flows_of(part, given)
    modules.state_comes_back(_build(part, flows), lambda m: [_fused(m, features_of(flows), all_present(flows)).vector])


def moves_to_a_device_whole(part: FeatureFusion, given: Given) -> None:
    flows = flows_of(part, given)
    module = modules.made(_build(part, flows))
    modules.moves_with_its_tensors(module)

    def run(moved: nn.Module, device: torch.device) -> list[Tensor]:
        features = {
            name: Features(
                each.vector.to(device),
                tuple(level.to(device) for level in each.maps),
                None if each.tokens is None else each.tokens.to(device),
            )
            for name, each in features_of(flows).items()
        }
        return [_fused(moved, features, {name: here.to(device) for name, here in all_present(flows).items()}).vector]

    modules.runs_on_cuda(module, run)


def ignores_the_content_of_absent_cells(part: FeatureFusion, given: Given) -> None:
    from mmfuse.testing.networks import fusion_copes_with_absence

    flows = flows_of(part, given)
    givers = {name: Gives(width=flow.width, maps=flow.maps, tokens=flow.tokens or ()) for name, flow in flows.items()}
    fusion_copes_with_absence(part, dict(sorted(givers.items())), (7,))


CHECKS = {
    "fusion": (
        gives_one_finite_vector_a_case_for_1_and_3_cases,
        takes_an_image_beside_a_table_or_refuses_with_a_mend,
        keeps_cases_apart,
        reads_only_what_it_declares,
        leaves_its_input_and_the_random_state_alone,
        runs_every_presence_pattern,
        does_not_mind_the_order_of_modalities,
        is_symmetric_if_it_says_so,
        refuses_or_takes_unequal_widths,
        lets_the_gradient_reach_every_trainable_weight,
        gives_well_formed_views_and_losses,
        comes_back_from_its_state_dict,
        moves_to_a_device_whole,
        ignores_the_content_of_absent_cells,
    )
}
USED = {"fusion": lambda part, given: _build(part, flows_of(part, given))()}
