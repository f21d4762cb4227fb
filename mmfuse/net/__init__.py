"""The torch side: encoders → fusion → heads, one training loop, out-of-fold prediction. Never meets `decide`."""
