"""Image files that are odd or damaged: decoded right, refused by name, or read with a remark; never other pixels in
silence."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from mmfuse import Card, Cases, CasesSection, Notice, PartError, Table, TableError, audit
from mmfuse.builtin.decoding import UnreadableError, decode, remarks
from mmfuse.builtin.modalities import Image
from mmfuse.builtin.readers.image import ImageReader
from mmfuse.data.inputs import read_inputs

sys.path.insert(0, str(Path(__file__).parent))
from test_modalities import png16
from tiffs import tiff

MANY = 10**8


def pixels(path):
    return np.asarray(decode(path, MANY))


def deep(height, width, channels, seed=0):
    return np.random.default_rng(seed).integers(0, 65536, (height, width, channels)).astype(np.uint16)


def images(folder, names, **knobs):
    modality = Image(column="path", **knobs)
    card = Card(cases=CasesSection(id="id", root=str(folder)), modalities={"photo": modality})
    return Cases(Table.of({"id": [f"c{i}" for i in range(len(names))], "path": names}), card)


# ── TIFF whose channels are stored apart ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("how", [{}, {"rows": 7}, {"tile": (16, 32)}])
@pytest.mark.parametrize("bits", [8, 16])
def test_channels_apart_are_the_same_picture(tmp_path, order, packed, how, bits):
    array = deep(37, 50, 3)
    array = array if bits == 16 else (array >> 8).astype(np.uint8)
    together = pixels(tiff(tmp_path / "a.tif", array, order=order, packed=packed, **how))
    assert (together == array >> (bits - 8)).all()
    assert (pixels(tiff(tmp_path / "b.tif", array, order=order, packed=packed, planar=2, **how)) == together).all()


@pytest.mark.parametrize("extra", [(0,), (1,), (2,)])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_channels_apart_with_a_fourth(tmp_path, extra, packed, bits):
    array = deep(20, 30, 4)
    array = array if bits == 16 else (array >> 8).astype(np.uint8)
    if extra == (1,):
        array[..., :3] = np.minimum(array[..., :3], array[..., 3:])  # colours that alpha was multiplied into
    together = pixels(tiff(tmp_path / "a.tif", array, extra=extra, packed=packed))
    if (bits, packed, extra) == (8, False, (0,)):  # which Pillow does not open
        with pytest.raises(UnreadableError):
            decode(tiff(tmp_path / "b.tif", array, extra=extra, planar=2), MANY)
        return
    apart = pixels(tiff(tmp_path / "b.tif", array, extra=extra, packed=packed, planar=2))
    assert np.abs(apart.astype(int) - together).max() <= (1 if extra == (1,) else 0)


@pytest.mark.parametrize("turn", range(1, 9))
def test_channels_apart_stand_upright(tmp_path, turn):
    array = deep(20, 30, 3)
    together = pixels(tiff(tmp_path / "a.tif", array, turn=turn))
    assert together.shape == ((20, 30, 3) if turn < 5 else (30, 20, 3))
    assert (pixels(tiff(tmp_path / "b.tif", array, planar=2, turn=turn)) == together).all()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("order", ["<", ">"])
def test_one_channel_is_never_apart(tmp_path, kind, photometric, order):
    if (kind, photometric, order) == (np.uint16, 0, ">"):
        pytest.skip("a kind of TIFF that Pillow does not open")
    array = deep(20, 30, 1).astype(kind)
    together = pixels(tiff(tmp_path / "a.tif", array, photometric=photometric, order=order))
    apart = tiff(tmp_path / "b.tif", array, photometric=photometric, order=order, planar=2)
    assert (pixels(apart) == together).all()


def test_channels_apart_that_end_early_are_refused(tmp_path):
    path = tiff(tmp_path / "a.tif", deep(20, 30, 3), planar=2)
    whole = bytearray(path.read_bytes())
    place = whole.index((8 + 2 * 20 * 30 * 2).to_bytes(4, "little"), 8 + 20 * 30 * 6)  # of the third plane
    whole[place : place + 4] = (len(whole) - 10).to_bytes(4, "little")
    path.write_bytes(whole)
    with pytest.raises(UnreadableError, match="ends within a plane"):
        decode(path, MANY)


# ── numbers that are no levels of grey ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "sign", "told"),
    [
        (np.uint16, 2, "16 bits a channel, signed integers"),
        (np.uint8, 2, "8 bits a channel, signed integers"),
        (np.uint32, 1, "32 bits a channel"),
    ],
)
def test_numbers_that_are_no_grey_are_named(tmp_path, kind, sign, told):
    with pytest.raises(UnreadableError, match=f"^{told}$"):
        decode(tiff(tmp_path / "a.tif", deep(8, 8, 1).astype(kind), sign=sign), MANY)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.dcm", bytes(128) + b"DICM" + bytes(100), "is a DICOM file"),
        ("a.png", bytes(128) + b"DICM" + bytes(100), "is a DICOM file"),
        ("a.dcm", b"\x08\0\x05\0CS\n\0ISO_IR 100" + b"\x08\0\x08\0", ""),
        ("a.nii", bytes(344) + b"n+1\0" + bytes(100), "is a NIfTI file"),
        ("a.nii.gz", b"\x1f\x8b\x08" + bytes(50), "is a NIfTI file"),
        ("a.jpg", b"GIF89a" + bytes(50), "is a GIF"),
        ("a.jpg", b"<!DOCTYPE html><html>", "is a web page"),
        ("a.jpg", b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        ("a.heic", b"\0\0\0\x18ftypheic" + bytes(20), "HEIC"),
        ("a.tif", b"II*\0\x08\0\0\0\0\0\0\0\0\0", "is a TIFF whose pixels"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(30), ""),
        ("a.jpg", b"", "is empty"),
    ],
)
def test_other_files_are_named_as_what_they_are(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    rows = images(tmp_path, [name]).rows()
    with pytest.raises(TableError) as refused:
        Image(column="path").fit(rows).read(rows)
    assert told in str(refused.value)
    assert "on_error" in str(refused.value)


# ── what is odd, and yet an image ─────────────────────────────────────────────────────────────────────────────────────


def odd_ones(folder):
    """Names, and what is to be said of each."""
    few = deep(20, 20, 1) >> 4
    Pillow.fromarray(few[..., 0]).save(folder / "few.png")
    Pillow.fromarray(few[..., 0]).save(folder / "few.tif")
    png16(folder / "colour.png", deep(20, 20, 3) >> 4)
    tiff(folder / "apart.tif", deep(20, 20, 3) >> 4, planar=2)
    Pillow.fromarray(deep(20, 20, 1)[..., 0]).save(folder / "full.png")
    Pillow.fromarray((deep(20, 20, 1) >> 8)[..., 0].astype(np.uint8)).save(folder / "eight.png")
    Pillow.new("I;16", (20, 20)).save(folder / "black.png")
    page = Pillow.fromarray(np.uint8(deep(20, 20, 1)[..., 0] >> 8))
    page.save(folder / "pages.tif", save_all=True, append_images=[page, page])
    page.save(folder / "moves.webp", save_all=True, append_images=[page.rotate(90)])
    said = dict.fromkeys(("few.png", "few.tif", "colour.png", "apart.tif"), "use no more than 12 of their 16 bits")
    said |= dict.fromkeys(("full.png", "eight.png", "black.png"), "")
    return said | dict.fromkeys(("pages.tif", "moves.webp"), "hold several pages or frames, of which the first is read")


def test_remarks(tmp_path):
    for name, told in odd_ones(tmp_path).items():
        found = remarks(tmp_path / name, MANY)
        assert len(found) == bool(told), name
        if told:
            assert found[0][0].startswith(told)
            assert found[0][1]


def test_smaller_copies_are_no_pages(tmp_path):
    page = Pillow.fromarray(np.uint8(deep(20, 20, 1)[..., 0] >> 8))
    small = page.resize((10, 10))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    page.save(tmp_path / "a.tif", save_all=True, append_images=[small])
    assert remarks(tmp_path / "a.tif", MANY) == ()


def test_the_audit_and_reading_say_so(tmp_path):
    names = list(odd_ones(tmp_path))
    cases, events = images(tmp_path, names), []
    found = [f for f in audit(cases, np.array(["train"] * len(names))) if f.level == "warning"]
    texts = sorted((f.text for f in found if "16 bits" in f.text or "pages" in f.text), reverse=True)
    assert "4 images use no more than 12 of their 16 bits (values up to 4,095 of 65,535)" in texts[0]
    assert "row 2 (id c0)" in texts[0]
    assert texts[1].startswith("2 images hold several pages")
    readers = {"photo": cases.card.modalities["photo"].fit(cases.rows())}
    read_inputs(readers, cases, events.append)
    told = [event.text for event in events if isinstance(event, Notice)]
    assert any(
        "photo: 4 new files use no more than 12 of their 16 bits" in text and "scale the values" in text
        for text in told
    )
    assert any("photo: 2 new files hold several pages" in text for text in told)


def test_a_reader_that_fails_over_its_remarks_is_named(tmp_path, monkeypatch):
    Pillow.new("L", (8, 8), 9).save(tmp_path / "a.png")
    cases = images(tmp_path, ["a.png"])
    monkeypatch.setattr(ImageReader, "remarks", lambda self, path: 1 / 0)
    told = [f.text for f in audit(cases, np.array(["train"])) if f.level == "error"]
    assert any("remarks" in text and "ZeroDivisionError" in text for text in told)
    with pytest.raises(PartError, match="remarks"):
        read_inputs({"photo": cases.card.modalities["photo"].fit(cases.rows())}, cases)


# ── JPEG decoded small ────────────────────────────────────────────────────────────────────────────────────────────────


def test_area_weighs_every_pixel(tmp_path):
    rng = np.random.default_rng(0)
    Pillow.fromarray(rng.integers(0, 256, (900, 1300, 3), dtype=np.uint8)).save(tmp_path / "a.jpg", quality=95)
    cases = images(tmp_path, ["a.jpg"], size=60, resize="area")
    read = cases.card.modalities["photo"].fit(cases.rows()).read(cases.rows())[0][0].transpose(1, 2, 0)
    with Pillow.open(tmp_path / "a.jpg") as image:
        whole = np.asarray(image.resize((60, 60), Pillow.Resampling.BOX))
    assert (read == whole).all()
    assert Image(column="path", resize="bilinear").fit(cases.rows())._draft_side == 448
    assert isinstance(cases.card.modalities["photo"].fit(cases.rows()), ImageReader)


# ── flipped bits ──────────────────────────────────────────────────────────────────────────────────────────────────────


def pictures(folder):
    grey = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
    colour = np.stack([grey, grey[::-1], grey[:, ::-1]], axis=2)
    Pillow.fromarray(colour).save(folder / "rgb.png")
    Pillow.fromarray(np.dstack([colour, grey])).save(folder / "rgba.png")
    Pillow.fromarray(grey).convert("P").save(folder / "palette.png", transparency=3)
    Pillow.fromarray(grey.astype(np.uint16) * 257).save(folder / "deep.png")
    png16(folder / "deep-rgb.png", colour.astype(np.uint16) * 257)
    return [folder / name for name in ("rgb.png", "rgba.png", "palette.png", "deep.png", "deep-rgb.png")]


@pytest.mark.parametrize("number", range(5))
def test_no_flipped_bit_of_a_png_is_other_pixels(tmp_path, number):
    path = pictures(tmp_path)[number]
    whole, sound = path.read_bytes(), pixels(path)
    refused = 0
    for place in random.Random(0).sample(range(8 * len(whole)), 600):
        broken = bytearray(whole)
        broken[place // 8] ^= 1 << place % 8
        path.write_bytes(broken)
        try:
            assert (pixels(path) == sound).all()
        except UnreadableError:
            refused += 1
    assert refused == 600  # a PNG has no bit that no checksum covers


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("how", [{"rows": 7}, {"tile": (16, 32)}, {"planar": 2}])
def test_no_flipped_bit_of_a_deflated_strip_is_other_pixels(tmp_path, bits, how):
    array = np.repeat(np.arange(50, dtype=np.uint16)[None, :, None] * 1000, 40, 0).repeat(3, 2)
    array = array if bits == 16 else (array >> 8).astype(np.uint8)
    path = tiff(tmp_path / "a.tif", array, packed=True, **how)
    whole, sound = path.read_bytes(), pixels(path)
    packed = int.from_bytes(whole[4:8], "little") - 8  # bytes before the directory, which holds no checksum
    refused = 0
    for place in random.Random(0).sample(range(8 * packed), min(8 * packed, 600)):
        broken = bytearray(whole)
        broken[8 + place // 8] ^= 1 << place % 8
        path.write_bytes(broken)
        try:
            assert (pixels(path) == sound).all()
        except UnreadableError:
            refused += 1
    assert refused > 550


def test_a_strip_that_unpacks_to_much_is_refused(tmp_path):
    path = tiff(tmp_path / "a.tif", np.zeros((3000, 3000, 3), np.uint8), packed=True)
    whole = bytearray(path.read_bytes())
    place = whole.index(b"\x00\x01\x04\x00\x01\x00\x00\x00" + (3000).to_bytes(4, "little")) + 8
    whole[place : place + 4] = (3).to_bytes(4, "little")  # the width
    path.write_bytes(whole)
    with pytest.raises(UnreadableError, match="piece 1 of 1"):
        decode(path, MANY)


def test_what_other_writers_leave_out_or_add(tmp_path):
    path = pictures(tmp_path)[0]
    sound, whole = pixels(path), path.read_bytes()
    path.write_bytes(whole + b"something behind the last chunk")
    assert (pixels(path) == sound).all()
    path.write_bytes(whole[:-12])
    with pytest.raises(UnreadableError, match="ends before its last chunk"):
        decode(path, MANY)
