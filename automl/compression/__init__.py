"""Making a trained candidate smaller: pruning through tfmot, behind a guard of accuracy.

`ladder.compress` tries rungs one after the other and keeps what the guard accepts; `magnitude` is the rung that prunes,
in a child process; `bridge` rebuilds a Keras 3 model in tf_keras, which is all that tfmot takes, and carries the weights
back; `twins` has what the bridge puts in the place of layers that tf_keras lacks. Quantisation is done by the converters
in `automl.export`. The techniques are declared in `automl.techniques.compress`, for listing and for the search settings.

Only child processes import tfmot: importing it sets `TF_USE_LEGACY_KERAS=1`, which every process that they start would
inherit.
"""
