"""The operators that a device runs, each with its attributes: arithmetic on tensors, the same for the same inputs, from
ONNX's own domain.

Left out on purpose: random numbers (they are inputs of a program), texts, optional values, pictures' decoders,
and whatever lies in another domain. The exporter checks itself against this list, too.

    >>> ATTRIBUTES["Gemm"] == {"alpha", "beta", "transA", "transB"}, "RandomNormal" in ATTRIBUTES
    (True, False)
"""

from collections.abc import Iterator, Mapping

OPSETS = range(18, 22)  # of the domain "", the only one; the exporter writes the first

_WITHOUT_ATTRIBUTES = """
Abs Acos Acosh Add And Asin Asinh Atan Atanh BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil Clip Cos Cosh Det Div
Equal Erf Exp Expand Floor GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSwish Identity IsNaN Less
LessOrEqual Log MatMul Max Mean Min Mish Mul Neg NonZero Not Or PRelu Pow Range Reciprocal Relu Round SequenceAt
SequenceConstruct SequenceLength Sigmoid Sign Sin Sinh Size Slice Softplus Softsign Sqrt Squeeze Sub Sum Tan Tanh Tile
Unsqueeze Where Xor
"""
# Each operator with its attributes behind it.
_WITH_ATTRIBUTES = """
ArgMax axis keepdims select_last_index
ArgMin axis keepdims select_last_index
AveragePool auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides
BatchNormalization epsilon momentum training_mode
BitShift direction
BlackmanWindow output_datatype periodic
Cast saturate to
CastLike saturate
Celu alpha
CenterCropPad axes
Col2Im dilations pads strides
Compress axis
Concat axis
ConcatFromSequence axis new_axis
Constant value value_float value_floats value_int value_ints
ConstantOfShape value
Conv auto_pad dilations group kernel_shape pads strides
ConvTranspose auto_pad dilations group kernel_shape output_padding output_shape pads strides
CumSum exclusive reverse
DFT axis inverse onesided
DepthToSpace blocksize mode
Einsum equation
Elu alpha
EyeLike dtype k
Flatten axis
GRU activation_alpha activation_beta activations clip direction hidden_size layout linear_before_reset
Gather axis
GatherElements axis
GatherND batch_dims
Gemm alpha beta transA transB
GlobalLpPool p
GridSample align_corners mode padding_mode
GroupNormalization epsilon num_groups stash_type
HammingWindow output_datatype periodic
HannWindow output_datatype periodic
HardSigmoid alpha beta
Hardmax axis
If else_branch then_branch
InstanceNormalization epsilon
IsInf detect_negative detect_positive
LRN alpha beta bias size
LSTM activation_alpha activation_beta activations clip direction hidden_size input_forget layout
LayerNormalization axis epsilon stash_type
LeakyRelu alpha
LogSoftmax axis
Loop body
LpNormalization axis p
LpPool auto_pad ceil_mode dilations kernel_shape p pads strides
MaxPool auto_pad ceil_mode dilations kernel_shape pads storage_order strides
MaxUnpool kernel_shape pads strides
MeanVarianceNormalization axes
MelWeightMatrix output_datatype
Mod fmod
NegativeLogLikelihoodLoss ignore_index reduction
OneHot axis
Pad mode
RNN activation_alpha activation_beta activations clip direction hidden_size layout
ReduceL1 keepdims noop_with_empty_axes
ReduceL2 keepdims noop_with_empty_axes
ReduceLogSum keepdims noop_with_empty_axes
ReduceLogSumExp keepdims noop_with_empty_axes
ReduceMax keepdims noop_with_empty_axes
ReduceMean keepdims noop_with_empty_axes
ReduceMin keepdims noop_with_empty_axes
ReduceProd keepdims noop_with_empty_axes
ReduceSum keepdims noop_with_empty_axes
ReduceSumSquare keepdims noop_with_empty_axes
Reshape allowzero
Resize antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value
    keep_aspect_ratio_policy mode nearest_mode
ReverseSequence batch_axis time_axis
RoiAlign coordinate_transformation_mode mode output_height output_width sampling_ratio spatial_scale
STFT onesided
Scan body num_scan_inputs scan_input_axes scan_input_directions scan_output_axes scan_output_directions
ScatterElements axis reduction
ScatterND reduction
Selu alpha gamma
Shape end start
Shrink bias lambd
Softmax axis
SoftmaxCrossEntropyLoss ignore_index reduction
SpaceToDepth blocksize
Split axis num_outputs
SplitToSequence axis keepdims
ThresholdedRelu alpha
TopK axis largest sorted
Transpose perm
Trilu upper
Unique axis sorted
"""


def _table(words: Iterator[str]) -> Mapping[str, frozenset[str]]:
    """Attributes by operator. An operator's name begins with a capital letter, an attribute's never."""
    table: dict[str, set[str]] = {}
    operator = ""
    for word in words:
        if word[0].isupper():
            table[operator := word] = set()
        else:
            table[operator].add(word)
    return {name: frozenset(attributes) for name, attributes in table.items()}


ATTRIBUTES = _table(iter((_WITHOUT_ATTRIBUTES + _WITH_ATTRIBUTES).split()))
