"""The torch side: encoders → fusion → heads, one training loop, out-of-fold prediction. Never meets `decide`.

To be read in the order data flows:

* what is read: `assembling` (blocks of each modality, once for all networks) → `batches` → `augmenting`; `embeddings`
  (vectors of frozen encoders, from the cache);
* one network: `features` (what passes between its parts), `measuring` (sizes by a blank pass), `network`, and in it
  `presence`, `standin` (law 3) and `freezing`;
* how it learns: `weights` (first weights, files), `training` (the loop), `optimising`, `watching` (the best epoch);
* how it speaks: `views` → `answering`; `predicting` (who is trained, who speaks about whom: the room's door), `fitted`
  (what is kept, saved and read again);
* beneath all: `devices`, `randomness`, `working` (threads and progress).
"""
