"""The operators that a device runs: arithmetic on tensors, the same for the same inputs, from ONNX's own domain.

Left out on purpose: random numbers (they are inputs of a program), texts, optional values, pictures' decoders,
and whatever lies in another domain. The exporter checks itself against this list, too.

    >>> "Conv" in OPERATORS, "RandomNormal" in OPERATORS
    (True, False)
"""

OPSETS = range(18, 22)  # of the domain "", the only one; the exporter writes the first

_ELEMENTWISE = """
Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil
Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN
LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink
Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Tan Tanh ThresholdedRelu Where Xor
"""
_OF_SHAPE = """
Compress Concat Constant ConstantOfShape DepthToSpace Expand EyeLike Flatten Gather GatherElements GatherND NonZero
OneHot Pad Range Reshape ReverseSequence ScatterElements ScatterND Shape Size Slice SpaceToDepth Split Squeeze Tile
Transpose Trilu Unique Unsqueeze
"""
_OF_LAYERS = """
AveragePool BatchNormalization CenterCropPad Col2Im Conv ConvTranspose CumSum Det Einsum GRU Gemm GlobalAveragePool
GlobalLpPool GlobalMaxPool GridSample GroupNormalization Hardmax InstanceNormalization LRN LSTM LayerNormalization
LogSoftmax LpNormalization LpPool MatMul MaxPool MaxUnpool MeanVarianceNormalization NegativeLogLikelihoodLoss RNN
Resize RoiAlign Softmax SoftmaxCrossEntropyLoss
"""
_REDUCTIONS = """
ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
ReduceSumSquare TopK
"""
# Lists of tensors, which PyTorch's own exporter makes of split and stack.
_OF_LISTS = "ConcatFromSequence SequenceAt SequenceConstruct SequenceLength SplitToSequence"
_SIGNALS = "BlackmanWindow DFT HammingWindow HannWindow MelWeightMatrix STFT"
_WITH_GRAPHS = "If Loop Scan"

_ALL = (_ELEMENTWISE, _OF_SHAPE, _OF_LAYERS, _REDUCTIONS, _OF_LISTS, _SIGNALS, _WITH_GRAPHS)
OPERATORS = frozenset(" ".join(_ALL).split())
