#!/usr/bin/env bash
# SimpleITK 2.5.7 and pydicom 3.0.2 with a DICOM picture of PhotometricInterpretation MONOCHROME1 (low is white, as many
# mammograms and chest films are): SimpleITK gives values that are inverted already, pydicom's `pixel_array` the stored
# ones, and the tag says MONOCHROME1 in both. Code that goes by the tag and inverts is right after pydicom and wrong after
# SimpleITK; a model fed by both sees negatives. Seen: stored 0, 100, 200, 4095: pydicom the same, SimpleITK 4095, 3995,
# 3895, 0; MONOCHROME2 equal in both.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 pydicom==3.0.2 SimpleITK==2.5.7
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

stored = np.array([[0, 100, 200, 4095]] * 2, dtype="<u2")
for tag in ("MONOCHROME2", "MONOCHROME1"):
    path = Path(sys.argv[1]) / f"{tag}.dcm"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    picture = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    picture.SOPClassUID, picture.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    picture.StudyInstanceUID, picture.SeriesInstanceUID = generate_uid(), generate_uid()
    picture.PatientID, picture.Modality, picture.PhotometricInterpretation = "1", "OT", tag
    picture.Rows, picture.Columns = stored.shape
    picture.SamplesPerPixel, picture.PixelRepresentation = 1, 0
    picture.BitsAllocated, picture.BitsStored, picture.HighBit = 16, 12, 11
    picture.PixelData = stored.tobytes()
    picture.save_as(path, enforce_file_format=True)
    one = pydicom.dcmread(path)
    image = SimpleITK.ReadImage(str(path))
    two = SimpleITK.GetArrayFromImage(image)[0]
    said = image.GetMetaData("0028|0004").strip()
    print(f"{tag}: pydicom {one.pixel_array[0].tolist()}, SimpleITK {two[0].tolist()}, its tag {said}")
    assert one.PhotometricInterpretation == said == tag
    assert np.array_equal(one.pixel_array, stored)
    assert np.array_equal(two, stored if tag == "MONOCHROME2" else 4095 - stored)
PY
