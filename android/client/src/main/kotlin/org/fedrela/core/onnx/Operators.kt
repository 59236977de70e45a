package org.fedrela.core.onnx

// The operators that a device runs, each with its attributes, from ONNX's own domain: no random numbers, texts or
// decoders of pictures. The conformance vectors hold the list, too.

/** Of ONNX's own domain, the only one: from the first to the last. */
internal val OPSETS = 18L..21L

private const val WITHOUT_ATTRIBUTES = """
Abs Acos Acosh Add And Asin Asinh Atan Atanh BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil Clip Cos Cosh Det Div
Equal Erf Exp Expand Floor GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSwish Identity IsNaN Less
LessOrEqual Log MatMul Max Mean Min Mish Mul Neg NonZero Not Or PRelu Pow Range Reciprocal Relu Round SequenceAt
SequenceConstruct SequenceLength Sigmoid Sign Sin Sinh Size Slice Softplus Softsign Sqrt Squeeze Sub Sum Tan Tanh Tile
Unsqueeze Where Xor
"""

// Each operator with its attributes behind it.
private const val WITH_ATTRIBUTES = """
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

/** Attributes by operator. An operator's name begins with a capital letter, an attribute's never. */
internal val ATTRIBUTES: Map<String, Set<String>> = run {
    val attributes = LinkedHashMap<String, MutableSet<String>>()
    var last: MutableSet<String> = HashSet()
    for (word in (WITHOUT_ATTRIBUTES + WITH_ATTRIBUTES).trim().split(Regex("\\s+"))) {
        if (word[0] in 'A'..'Z') last = attributes.getOrPut(word) { HashSet() } else last.add(word)
    }
    attributes
}
