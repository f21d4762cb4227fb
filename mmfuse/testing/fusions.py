"""What every fusion of features keeps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmfuse import Encoder, FeatureFusion, Features, FlowShape, Fused, SpecError
from mmfuse.testing import modules
from mmfuse.testing.kit import Given, Refusal, need

_MAPS = ((6, 4, 4), (8, 2, 2))
_FLOW = FlowShape(12, _MAPS, (5, 12))
_CASES = 4


class _Rich(Encoder):
    """An encoder of the kit that gives a vector, maps and tokens of a (3, 4, 4) image."""

    name = "kit-rich"

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        return _RichModule()


class _RichModule(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 8, 2, stride=2)
        self.vector, self.tokens = nn.Linear(8, 12), nn.Linear(8, 12)

    def forward(self, images: Tensor) -> Features:
        fine = self.fine(images)
        coarse = self.coarse(fine)
        places = coarse.flatten(2).transpose(1, 2)
        return Features(self.vector(places.mean(dim=1)), (fine, coarse), self.tokens(places))


def _names(part: FeatureFusion) -> tuple[str, ...]:
    least, most = part.arity
    count = max(least, 3 if most == 0 or most >= 3 else most)
    return tuple("cabdefgh"[:count])


def _features(names: tuple[str, ...], cases: int = _CASES, seed: int = 1) -> dict[str, Features]:
    made = {}
    for k, name in enumerate(names):
        maps = tuple(modules.noise(cases, *shape, seed=seed + 10 * k) for shape in _MAPS)
        vector = modules.noise(cases, 12, seed=seed + 10 * k + 1) - 0.5
        made[name] = Features(vector, maps, modules.noise(cases, 5, 12, seed=seed + 10 * k + 2))
    return made


def _all(names: tuple[str, ...], cases: int = _CASES) -> dict[str, Tensor]:
    return {name: torch.ones(cases, dtype=torch.bool) for name in names}


def _build(part: FeatureFusion, names: tuple[str, ...]) -> Callable[[], nn.Module]:
    return lambda: part.build(dict.fromkeys(names, _FLOW))


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
    names = _names(part)
    module = modules.made(_build(part, names)).eval()
    with torch.no_grad():
        one, three = (_fused(module, _features(names, n), _all(names, n)).vector for n in (1, 3))
    need(three.ndim == 2 and len(three) == 3 and len(one) == 1, f"{tuple(three.shape)} for 3 cases", "(3, width)")
    need(one.shape[1] == three.shape[1], f"width {one.shape[1]} for 1 case, {three.shape[1]} for 3", "one width")
    need(bool(torch.isfinite(three).all()), "the fused vector is not finite", "finite numbers")


def keeps_cases_apart(part: FeatureFusion, given: Given) -> None:
    names = _names(part)
    module = modules.made(_build(part, names)).eval()
    features, present = _features(names), _all(names)
    with torch.no_grad():
        among = _fused(module, features, present).vector[:1]
        alone = _fused(module, _rows(features, slice(0, 1)), _all(names, 1)).vector
    need(
        modules.same(alone, among),
        f"case 1 differs by {modules.difference(alone, among)} alone and among {_CASES}",
        "0",
        "no sum over cases",
    )


def leaves_its_input_and_the_random_state_alone(part: FeatureFusion, given: Given) -> None:
    names = _names(part)
    module = modules.made(_build(part, names)).eval()
    features, present = _features(names), _all(names)
    with modules.leaving_random_state_alone(), torch.no_grad():
        module(features, present)
    untouched = all(
        torch.equal(a, b) for a, b in zip(modules.tensors(features), modules.tensors(_features(names)), strict=True)
    )
    need(untouched, "changes its input in place", "the input left alone", "x = x * 2, not x.mul_(2)")


def reads_only_what_it_declares(part: FeatureFusion, given: Given) -> None:
    """Of frozen encoders nothing else is kept: a map that is not declared has no places there."""
    names, count = _names(part), len(_MAPS)
    module = modules.made(_build(part, names)).eval()
    declared = {level % count for level in part.map_levels or range(count)} if "maps" in part.needs else set()
    features, present = _features(names), _all(names)
    kept = {
        name: Features(
            each.vector,
            tuple(level if i in declared else level[..., :0, :0] for i, level in enumerate(each.maps)),
            each.tokens if "tokens" in part.needs else None,
        )
        for name, each in features.items()
    }
    mend = "name in `needs` and `map_levels` all that is read"
    with torch.no_grad():
        whole = _fused(module, features, present).vector
        try:
            alone = _fused(module, kept, present).vector
        except Exception as error:
            raise Refusal(f"fails without what it does not declare: {error}", "the same vector", mend) from error
    need(modules.same(whole, alone), "reads maps or tokens that it does not declare", "the same vector", mend)


def runs_every_presence_pattern(part: FeatureFusion, given: Given) -> None:
    names = _names(part)
    module = modules.made(_build(part, names))
    patterns = [[bool(number >> k & 1) for k in range(len(names))] for number in range(1, 2 ** len(names))]
    for mode in (True, False):
        module.train(mode)
        for pattern in patterns:
            present = {name: torch.full((2,), here) for name, here in zip(names, pattern, strict=True)}
            with modules.seeded(4), torch.no_grad():
                vector = _fused(module, _features(names, 2), present).vector
            here = [name for name, yes in zip(names, pattern, strict=True) if yes]
            need(
                bool(torch.isfinite(vector).all()),
                f"not finite where only {here} of {sorted(names)} are present",
                "finite",
                "mind empty sums",
            )


def does_not_mind_the_order_of_modalities(part: FeatureFusion, given: Given) -> None:
    names = _names(part)
    turned = tuple(reversed(names))
    first, second = modules.made(_build(part, names)).eval(), modules.made(_build(part, turned), seed=3).eval()
    second.load_state_dict(first.state_dict())
    features, present = _features(names), _all(names)
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
    names = _names(part)
    module = modules.made(_build(part, names)).eval()
    features, present = _features(names), _all(names)
    exchanged = dict(features)
    exchanged[names[0]], exchanged[names[1]] = features[names[1]], features[names[0]]
    with torch.no_grad():
        one, other = (_fused(module, each, present).vector for each in (features, exchanged))
    found = f"differs by {modules.difference(one, other)} when '{names[0]}' and '{names[1]}' are exchanged"
    need(
        modules.same(one, other),
        found,
        "0, as `symmetric` says",
        "symmetric = False, or an operation that does not tell them apart",
    )


def refuses_or_takes_unequal_widths(part: FeatureFusion, given: Given) -> None:
    names = _names(part)
    flows = {name: FlowShape(12 + 4 * (k == 0), _MAPS, (5, 12)) for k, name in enumerate(names)}
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
    features = _features(names)
    features[names[0]] = features[names[0]]._replace(vector=modules.noise(_CASES, 16))
    with torch.no_grad():
        module(features, _all(names))


def lets_the_gradient_reach_every_trainable_weight(part: FeatureFusion, given: Given) -> None:
    names = _names(part)
    module = modules.made_to_learn(_build(part, names))
    if any(weight.requires_grad for weight in module.parameters()):
        features = _features(names)
        present = {name: torch.arange(_CASES) % len(names) != k for k, name in enumerate(names)}
        with modules.seeded(2):
            fused = _fused(module, features, present)
            modules.every_weight_learns(module, modules.tensors((fused.vector, fused.views, fused.losses)))


def gives_well_formed_views_and_losses(part: FeatureFusion, given: Given) -> None:
    names = _names(part)
    module = modules.made(_build(part, names)).train()
    with modules.seeded(2):
        fused = _fused(module, _features(names), _all(names))
    for name, (vector, weight) in fused.views.items():
        need(
            vector.shape == fused.vector.shape,
            f"view '{name}' {tuple(vector.shape)}",
            f"{tuple(fused.vector.shape)}, as the fused vector",
        )
        need(
            weight.shape == (_CASES,), f"the weight of view '{name}' {tuple(weight.shape)}", f"({_CASES},), one a case"
        )
    for name, loss in fused.losses.items():
        need(loss.shape == () and bool(torch.isfinite(loss)), f"loss '{name}' {tuple(loss.shape)}", "one finite number")


def comes_back_from_its_state_dict(part: FeatureFusion, given: Given) -> None:
    names = _names(part)
    modules.state_comes_back(_build(part, names), lambda m: [_fused(m, _features(names), _all(names)).vector])


def moves_to_a_device_whole(part: FeatureFusion, given: Given) -> None:
    names = _names(part)
    module = modules.made(_build(part, names))
    modules.moves_with_its_tensors(module)

    def run(moved: nn.Module, device: torch.device) -> list[Tensor]:
        features = {
            name: Features(
                each.vector.to(device),
                tuple(level.to(device) for level in each.maps),
                None if each.tokens is None else each.tokens.to(device),
            )
            for name, each in _features(names).items()
        }
        return [_fused(moved, features, {name: here.to(device) for name, here in _all(names).items()}).vector]

    modules.runs_on_cuda(module, run)


def ignores_the_content_of_absent_cells(part: FeatureFusion, given: Given) -> None:
    from mmfuse.testing.networks import fusion_copes_with_absence

    fusion_copes_with_absence(part, tuple(sorted(_names(part))), _Rich(), (3, 4, 4))


CHECKS = {
    "fusion": (
        gives_one_finite_vector_a_case_for_1_and_3_cases,
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
