"""Serialisable Keras objects that architectures and techniques need and Keras doesn't have.

Layers that an exported model may hold are listed in `LAYERS`, by "module:class": the bridge to tf_keras needs a twin
of each, so they are few. Losses, schedules and optimizer wrappers act in training only and never reach an artifact.
"""

LAYERS = (
    "automl.layers.tables:CategoryEncoding",
    "automl.layers.tables:FeatureScale",
    "automl.layers.tables:PeriodicEmbedding",
    "automl.layers.tables:PiecewiseLinearEncoding",
    "automl.layers.tables:MemberAffine",
    "automl.layers.sequences:PaddingMask",
    "automl.layers.sequences:ChannelSlice",
    "automl.layers.sequences:MaskedMean",
    "automl.layers.sequences:CodeLimit",
    "automl.layers.sequences:TokenPairs",
    "automl.layers.deformable:DeformableSampling",
    "automl.layers.sequences:Taps",
)
