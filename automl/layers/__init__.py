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
    "automl.layers.tables:LinearSums",
    "automl.layers.tables:MemberColumns",
    "automl.layers.sequences:PaddingMask",
    "automl.layers.sequences:ChannelSlice",
    "automl.layers.sequences:MaskedMean",
    "automl.layers.sequences:CodeLimit",
    "automl.layers.sequences:TokenPairs",
    "automl.layers.bags:DistinctCodes",
    "automl.layers.bags:LinearBags",
    "automl.layers.deformable:DeformableSampling",
    "automl.layers.sequences:Taps",
    "automl.layers.tables:NumberTokens",
    "automl.layers.tables:CategoryTokens",
    "automl.layers.recurrent:Recurrence",
    "automl.layers.recurrent:EndStates",
    "automl.layers.attention:AttentionWeights",
    "automl.layers.attention:AdditiveAttentionWeights",
    "automl.layers.attention:SparseAttentionWeights",
    "automl.layers.attention:Gathered",
    "automl.layers.attention:SparseGathered",
    "automl.layers.attention:SinusoidalPositions",
    "automl.layers.attention:LearnedPositions",
    "automl.layers.attention:RotaryPositions",
    "automl.layers.attention:StepWeights",
    "automl.layers.attention:WeightedSteps",
    "automl.layers.attention:ClassToken",
    "automl.layers.attention:QueryTokens",
    "automl.layers.attention:FirstToken",
    "automl.layers.attention:HaltingWeights",
    "automl.layers.attention:WeightedStates",
    "automl.layers.windows:ToWindows",
    "automl.layers.windows:FromWindows",
    "automl.layers.windows:WindowWeights",
    "automl.layers.trees:DecisionTrees",
    "automl.layers.trees:CategoryLevels",
)

_FOLDED = "folded away before the model leaves training"
_SEARCHED = "of the one network that a search by relaxation trains, which is never delivered"
_PRETRAINED = "of the network that learns to tell replaced words, of which the encoder alone is kept"
NEVER_DELIVERED = {
    **dict.fromkeys(("KernelWrapper", "WeightNorm", "WeightStandardization", "SpectralNorm", "Shakeout"), _FOLDED),
    **dict.fromkeys(("DropBlock", "GaussianBottleneck"), _FOLDED),
    **dict.fromkeys(("FrontChannels", "Mixture"), _SEARCHED),
    **dict.fromkeys(("HiddenTokens", "AtPlaces", "TiedWords", "ReplacedTokens", "DetectionLoss"), _PRETRAINED),
    "QuasiRecurrent": "a cell in a `Recurrence`, whose twin runs it",
}
"""All other layers, by the class, with the reason why none stands in a delivered model by itself: none has a twin."""
