"""Images of every kind become the same pixels; broken ones are refused by row and file."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps
from pydantic import ValidationError

from mmfuse import Card, Cases, CasesSection, PartError, RunError, Step, Table, TableError
from mmfuse.builtin.modalities import Image
from mmfuse.builtin.readers.image import ImageReader
from mmfuse.builtin.steps import BorderCrop, Grey

RAMP = np.arange(256, dtype=np.uint16)
FORMATS = {"jpg": "JPEG", "png": "PNG", "tif": "TIFF", "bmp": "BMP", "webp": "WEBP"}
EXACT = {"jpg": {"quality": 98, "subsampling": 0}, "webp": {"lossless": True}}
FILTERS = {"bilinear": "BILINEAR", "area": "BOX", "bicubic": "BICUBIC", "lanczos": "LANCZOS"}


def rows_of(folder, names):
    card = Card(cases=CasesSection(id="id", root=str(folder)))
    return Cases(Table.of({"id": [f"c{i}" for i in range(len(names))], "path": names}), card).rows()


def read(folder, *names, **knobs):
    """(n, 3, height, width), present."""
    rows = rows_of(folder, list(names))
    return Image(column="path", **knobs).fit(rows).read(rows)


def scene(height, width, seed=0):
    """A smooth coloured image, as photographs are."""
    rng = np.random.default_rng(seed)
    coarse = Pillow.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    return coarse.resize((width, height), Pillow.Resampling.BICUBIC)


def png16(path, array):
    """Writes 16-bit PNG of any number of channels; Pillow cannot."""
    height, width, channels = array.shape
    rows = b"".join(b"\0" + array[i].astype(">u2").tobytes() for i in range(height))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def levels(folder, name):
    """The grey levels of a 16 × 16 image of 256 pixels, all three channels being the same."""
    pixels, present = read(folder, name, size=16)
    assert present.all()
    assert (pixels[0, 0] == pixels[0, 1]).all()
    assert (pixels[0, 0] == pixels[0, 2]).all()
    return pixels[0, 0].reshape(-1).astype(int)


# ── kinds of files ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_read(tmp_path, suffix):
    image = scene(40, 60)
    image.save(tmp_path / f"a.{suffix}", FORMATS[suffix], **EXACT.get(suffix, {}))
    pixels, present = read(tmp_path, f"a.{suffix}", size=(40, 60))
    assert pixels.shape == (1, 3, 40, 60)
    assert pixels.dtype == np.uint8
    assert present.all()
    difference = np.abs(pixels[0].transpose(1, 2, 0).astype(int) - np.asarray(image).astype(int))
    assert difference.mean() < (3 if suffix == "jpg" else 1e-9)


def test_the_suffix_says_nothing(tmp_path):
    scene(20, 20).save(tmp_path / "a.jpg", "PNG")
    assert read(tmp_path, "a.jpg")[1].all()


def test_other_formats_are_not_opened(tmp_path):
    scene(20, 20).save(tmp_path / "a.png", "GIF")
    with pytest.raises(TableError, match="JPEG, PNG, TIFF, BMP or WebP"):
        read(tmp_path, "a.png")


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_scaled_and_not_clipped(tmp_path, channels):
    png16(tmp_path / "a.png", np.repeat((RAMP * 257).reshape(16, 16, 1), channels, 2))
    assert (levels(tmp_path, "a.png") == RAMP).all()


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_tiff(tmp_path, order):
    values = (RAMP * 257).reshape(16, 16)
    Pillow.fromarray(values.astype(f"{order}u2")).save(tmp_path / "a.tif")
    assert (levels(tmp_path, "a.tif") == RAMP).all()


def test_16_bit_tiff_where_white_is_zero(tmp_path):
    Pillow.fromarray((RAMP * 257).reshape(16, 16)).save(tmp_path / "a.tif", tiffinfo={262: 0})
    assert (levels(tmp_path, "a.tif") == 255 - RAMP).all()


@pytest.mark.parametrize("values", [np.float32(1.5), np.int32(70000)])
def test_32_bit_pixels_are_refused(tmp_path, values):
    Pillow.fromarray(np.full((4, 4), values)).save(tmp_path / "a.tif")
    with pytest.raises(TableError, match="32 bits"):
        read(tmp_path, "a.tif")


def test_grey_palette_and_black_and_white(tmp_path):
    grey = Pillow.fromarray(RAMP.astype(np.uint8).reshape(16, 16))
    grey.save(tmp_path / "grey.png")
    grey.convert("P").save(tmp_path / "palette.png")
    grey.convert("1", dither=Pillow.Dither.NONE).save(tmp_path / "bits.png")
    assert (levels(tmp_path, "grey.png") == RAMP).all()
    assert (levels(tmp_path, "palette.png") == RAMP).all()
    assert set(levels(tmp_path, "bits.png")) == {0, 255}


def test_what_is_transparent_is_laid_on_black(tmp_path):
    rgba = np.full((16, 16, 4), 200, np.uint8)
    rgba[..., 3] = RAMP.reshape(16, 16)
    Pillow.fromarray(rgba).save(tmp_path / "a.png")
    Pillow.fromarray(rgba[..., [0, 3]]).save(tmp_path / "grey.png")
    for name in ("a.png", "grey.png"):
        assert np.abs(levels(tmp_path, name) - 200 * RAMP / 255).max() <= 1
    palette = Pillow.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([250, 250, 250, 100, 100, 100])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert read(tmp_path, "palette.png", size=(1, 2))[0][0, 0].tolist() == [[0, 100]]


def test_cmyk(tmp_path):
    scene(30, 30).convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    pixels = read(tmp_path, "a.jpg", size=30)[0][0].transpose(1, 2, 0)
    assert np.abs(pixels.astype(int) - np.asarray(scene(30, 30)).astype(int)).mean() < 5


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_stand_upright(tmp_path, suffix, orientation):
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    scene(20, 30).save(tmp_path / f"a.{suffix}", exif=exif, **EXACT.get(suffix, {}))
    with Pillow.open(tmp_path / f"a.{suffix}") as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert expected.shape == ((20, 30, 3) if orientation < 5 else (30, 20, 3))
    pixels = read(tmp_path, f"a.{suffix}", size=expected.shape[:2])[0][0]
    assert (pixels.transpose(1, 2, 0) == expected).all()


# ── what is wrong ─────────────────────────────────────────────────────────────────────────────────────────────────────


def break_files(folder):
    """One whole image and five that are not; returns their names."""
    image = scene(64, 64)
    for suffix in ("jpg", "png", "tif", "bmp", "webp"):
        image.save(folder / f"cut.{suffix}", FORMATS[suffix])
        whole = (folder / f"cut.{suffix}").read_bytes()
        (folder / f"cut.{suffix}").write_bytes(whole[: len(whole) // 2])
    image.save(folder / "whole.png")
    (folder / "words.jpg").write_text("not an image")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "folder.jpg").mkdir()
    return [*(f"cut.{suffix}" for suffix in FORMATS), "words.jpg", "empty.jpg", "folder.jpg", "gone.jpg"]


def test_all_unreadable_files_are_named_at_once(tmp_path):
    bad = break_files(tmp_path)
    with pytest.raises(TableError) as error:
        read(tmp_path, "whole.png", *bad)
    assert len(error.value.faults) == len(bad)
    for i, (name, fault) in enumerate(zip(bad, error.value.faults, strict=True), 1):
        assert f"row {i + 2} (id c{i}), column path" in fault.where
        assert str(tmp_path / name) in fault.where
        assert "on_error" in fault.mend


def test_or_they_are_absent(tmp_path):
    bad = break_files(tmp_path)
    pixels, present = read(tmp_path, *bad, "whole.png", "", size=64, on_error="absent")
    assert present.tolist() == [False] * len(bad) + [True, False]
    assert (pixels[-2].transpose(1, 2, 0) == np.asarray(scene(64, 64))).all()


def test_a_missing_file_with_a_sibling_names_it(tmp_path):
    scene(8, 8).save(tmp_path / "case001.JPG", "JPEG")
    with pytest.raises(TableError, match=r"the folder has case001\.JPG"):
        read(tmp_path, "case001.png")


def test_images_above_the_limit_are_refused_before_they_are_decoded(tmp_path):
    Pillow.new("L", (4000, 4000)).save(tmp_path / "a.png")
    with pytest.raises(TableError, match="4000 × 4000 pixels") as error:
        read(tmp_path, "a.png", max_pixels=1_000_000)
    assert "max_pixels" in error.value.faults[0].mend
    Pillow.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    with pytest.raises(TableError):
        read(tmp_path, "bomb.png")


def test_rows_of_several_images_are_to_be_taken_apart(tmp_path):
    with pytest.raises(TableError, match=r"holds several images\n.*\n  mend: take the rows apart first") as error:
        read(tmp_path, "", "a.jpg;b.jpg")
    assert "(id c1)" in error.value.faults[0].where


@pytest.mark.parametrize("knobs", [{}, {"column": ""}, {"column": "p", "size": 0}, {"column": "p", "size": (3, 4, 5)},
                                   {"column": "p", "aspect": "squash"}, {"column": "p", "max_pixels": 0}])  # fmt: skip
def test_knobs_are_checked(knobs):
    with pytest.raises(ValidationError):
        Image(**knobs)


# ── sizes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", FILTERS)
def test_stretch_is_pillows_antialiased_resize(tmp_path, name):
    scene(90, 61).save(tmp_path / "a.png")
    pixels = read(tmp_path, "a.png", size=(30, 40), resize=name)[0][0]
    assert (
        pixels.transpose(1, 2, 0) == np.asarray(scene(90, 61).resize((40, 30), Pillow.Resampling[FILTERS[name]]))
    ).all()


def test_pad_keeps_the_shape_between_black_bars(tmp_path):
    Pillow.new("RGB", (80, 40), (200, 100, 50)).save(tmp_path / "a.png")
    pixels = read(tmp_path, "a.png", size=40, aspect="pad")[0][0]
    assert (pixels[:, 10:30] == np.array([200, 100, 50])[:, None, None]).all()
    assert (pixels[:, :10] == 0).all()
    assert (pixels[:, 30:] == 0).all()


@pytest.mark.parametrize(("height", "width"), [(40, 80), (80, 40), (41, 40)])
def test_crop_takes_the_middle(tmp_path, height, width):
    x = np.linspace(0, 250, max(height, width)).astype(np.uint8)
    grey = np.tile(x, (height, 1)) if width > height else np.tile(x[:, None], (1, width))
    Pillow.fromarray(grey).save(tmp_path / "a.png")
    pixels = read(tmp_path, "a.png", size=20, aspect="crop")[0][0, 0]
    long = pixels[10] if width > height else pixels[:, 10]
    edge = 250 * (1 - 40 / max(height, width)) / 2
    assert abs(int(long[0]) - edge) < 8
    assert abs(int(long[-1]) - (250 - edge)) < 8


def test_a_large_jpeg_is_decoded_small_to_the_same_pixels(tmp_path, monkeypatch):
    scene(1600, 2400).save(tmp_path / "a.jpg", quality=92)
    fast = read(tmp_path, "a.jpg", size=96)[0].astype(int)
    monkeypatch.setattr(ImageReader, "_draft_side", 0)
    whole = read(tmp_path, "a.jpg", size=96)[0].astype(int)
    assert (fast != whole).any()  # else nothing was measured
    assert np.abs(fast - whole).mean() < 1
    assert np.abs(fast - whole).max() < 12


# ── steps, record ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Spoil(Step):
    """Gives what no step may give."""

    def apply(self, image):
        return image.astype(float)


def test_steps_act_in_order_on_the_whole_image(tmp_path):
    array = np.zeros((40, 60, 3), np.uint8)
    array[10:-10, 10:-10] = (10, 250, 90)
    Pillow.fromarray(array).save(tmp_path / "a.png")
    pixels = read(tmp_path, "a.png", size=8, steps=(BorderCrop(pixels=10), Grey()))[0]
    assert (pixels == (299 * 10 + 587 * 250 + 114 * 90 + 500) // 1000).all()


def test_a_step_that_cannot_names_row_and_file(tmp_path):
    scene(20, 20).save(tmp_path / "a.png")
    for on_error in ("raise", "absent"):  # the image is sound, the plan is not
        with pytest.raises(TableError, match="border-crop") as error:
            read(tmp_path, "a.png", steps=(BorderCrop(pixels=10),), on_error=on_error)
        assert "(id c0)" in str(error.value)
    with pytest.raises(PartError, match="'spoil' made float64"):
        read(tmp_path, "a.png", steps=(Spoil(),))


def test_the_fingerprint_follows_whatever_decides_the_pixels(tmp_path):
    rows = rows_of(tmp_path, ["a"])
    knobs = [{}, {"size": 100}, {"size": (100, 224)}, {"aspect": "pad"}, {"resize": "area"}, {"steps": (Grey(),)},
             {"steps": (BorderCrop(pixels=1),)}, {"steps": (BorderCrop(pixels=2),)},
             {"steps": (BorderCrop(pixels=1), Grey())}, {"steps": (Grey(), BorderCrop(pixels=1))},
             {"max_pixels": 5}]  # fmt: skip
    prints = [Image(column="path", **some).fit(rows).fingerprint() for some in knobs]
    assert len(set(prints)) == len(knobs)
    assert Image(column="path").fit(rows).fingerprint() == prints[0]
    same = Image(column="path", on_error="absent").fit(rows).fingerprint()
    assert same == prints[0]


def test_a_reader_is_stored_and_read_again(tmp_path):
    scene(30, 20).save(tmp_path / "a.png")
    rows = rows_of(tmp_path, ["a.png"])
    reader = Image(column="path", size=(10, 12), aspect="pad").fit(rows)
    reader.save(tmp_path / "run" / "derm")
    again = Image.reader.load(tmp_path / "run" / "derm")
    assert again.shape == reader.shape == (3, 10, 12)
    assert (again.read(rows)[0] == reader.read(rows)[0]).all()
    Image(column="path", steps=(BorderCrop(pixels=3),)).fit(rows).save(tmp_path / "run" / "steps")
    assert "border-crop" in json.loads((tmp_path / "run" / "steps.json").read_text())["steps"][0]
    with pytest.raises(RunError, match="border-crop"):
        Image.reader.load(tmp_path / "run" / "steps")
    cropped = Image(column="path", steps=(BorderCrop(pixels=3),)).load(tmp_path / "run" / "steps")
    assert cropped.steps == (BorderCrop(pixels=3),)
    with pytest.raises(RunError, match="border-crop"):
        Image(column="path", steps=(BorderCrop(pixels=4),)).load(tmp_path / "run" / "steps")
