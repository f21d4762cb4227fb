"""BrEaST (breast ultrasound with clinical data, The Cancer Imaging Archive): `adapter` reads it and makes cases."""
