"""Softmax regression with momentum as ONNX text, its gradient written out; nothing here uses the exporter."""

import onnx
import onnx.parser

CLASSES = 3
SIDE = 4
PIXELS = SIDE * SIDE
NOISE = 0.1

_LOGITS = f"""
   flat = Constant <value_ints = [-1, {PIXELS}]> ()
   scale = Constant <value_float = 255.0> ()
   strength = Constant <value_float = {NOISE}> ()
   raw = Cast <to = 1> (x)
   rows = Reshape (raw, flat)
   pixels = Div (rows, scale)
   jitter = Mul (noise, strength)
   inputs = Add (pixels, jitter)
   product = MatMul (inputs, w)
   logits = Add (product, b)
"""

TRAIN = f"""
<ir_version: 9, opset_import: ["" : 20]>
train_step (float[{PIXELS}, {CLASSES}] w, float[{CLASSES}] b, float[{PIXELS}, {CLASSES}] momentum__w,
            float[{CLASSES}] momentum__b, uint8[B, 1, {SIDE}, {SIDE}] x, int64[B] y, float[B] weight, float lr,
            float momentum, float[B, {PIXELS}] noise)
  => (float[{PIXELS}, {CLASSES}] new__w, float[{CLASSES}] new__b, float[{PIXELS}, {CLASSES}] new__momentum__w,
      float[{CLASSES}] new__momentum__b, float loss_sum, float correct_sum, float weight_sum) {{
   {_LOGITS}
   depth = Constant <value_int = {CLASSES}> ()
   off_on = Constant <value_floats = [0.0, 1.0]> ()
   first = Constant <value_ints = [0]> ()
   last = Constant <value_ints = [1]> ()
   truth = OneHot <axis = -1> (y, depth, off_on)
   logp = LogSoftmax <axis = 1> (logits)
   p = Softmax <axis = 1> (logits)
   picked = Mul (logp, truth)
   likelihood = ReduceSum <keepdims = 0> (picked, last)
   losses = Neg (likelihood)
   weighted = Mul (losses, weight)
   loss_sum = ReduceSum <keepdims = 0> (weighted)
   weight_sum = ReduceSum <keepdims = 0> (weight)
   guess = ArgMax <axis = 1, keepdims = 0> (logits)
   right = Equal (guess, y)
   hit = Cast <to = 1> (right)
   hits = Mul (hit, weight)
   correct_sum = ReduceSum <keepdims = 0> (hits)
   gap = Sub (p, truth)
   column = Unsqueeze (weight, last)
   shares = Div (column, weight_sum)
   slope = Mul (gap, shares)
   across = Transpose <perm = [1, 0]> (inputs)
   grad_w = MatMul (across, slope)
   grad_b = ReduceSum <keepdims = 0> (slope, first)
   kept_w = Mul (momentum__w, momentum)
   kept_b = Mul (momentum__b, momentum)
   new__momentum__w = Add (kept_w, grad_w)
   new__momentum__b = Add (kept_b, grad_b)
   move_w = Mul (new__momentum__w, lr)
   move_b = Mul (new__momentum__b, lr)
   new__w = Sub (w, move_w)
   new__b = Sub (b, move_b)
}}
"""

PREDICT = f"""
<ir_version: 9, opset_import: ["" : 20]>
predict (float[{PIXELS}, {CLASSES}] w, float[{CLASSES}] b, uint8[B, 1, {SIDE}, {SIDE}] x, float[B, {PIXELS}] noise)
  => (float[B, {CLASSES}] probabilities) {{
   {_LOGITS}
   probabilities = Softmax <axis = 1> (logits)
}}
"""

RELABEL = f"""
<ir_version: 9, opset_import: ["" : 20]>
relabel (float[N, {CLASSES}] q, int64[N] labels, float[N, {CLASSES}] u, float tau)
  => (int64[N] new_labels, float[N] flip_rate) {{
   depth = Constant <value_int = {CLASSES}> ()
   off_on = Constant <value_floats = [0.0, 1.0]> ()
   first = Constant <value_ints = [0]> ()
   last = Constant <value_ints = [1]> ()
   zero = Constant <value_float = 0.0> ()
   one = Constant <value_float = 1.0> ()
   minus = Constant <value_float = -1.0> ()
   tiny = Constant <value_float = 0.000001> ()
   hundred = Constant <value_float = 100.0> ()
   truth = OneHot <axis = -1> (labels, depth, off_on)
   counts = ReduceSum <keepdims = 0> (truth, first)
   least = ReduceMin <keepdims = 0> (counts)
   most = ReduceMax <keepdims = 0> (counts)
   spread = Sub (most, least)
   safe_spread = Max (spread, one)
   above = Sub (counts, least)
   share = Div (above, safe_spread)
   prior = Sub (one, share)
   safe_counts = Max (counts, one)
   tall = Unsqueeze (safe_counts, last)
   members = Transpose <perm = [1, 0]> (truth)
   sums = MatMul (members, q)
   mean = Div (sums, tall)
   own_mean = MatMul (truth, mean)
   away = Sub (q, own_mean)
   square = Mul (away, away)
   square_sums = MatMul (members, square)
   variance = Div (square_sums, tall)
   deviation = Sqrt (variance)
   std = Max (deviation, tiny)
   own_std = MatMul (truth, std)
   z = Div (away, own_std)
   shape = Shape (labels)
   n = Cast <to = 1> (shape)
   surplus_of = Mul (n, tau)
   surplus_share = Div (surplus_of, hundred)
   surplus = Floor (surplus_share)
   top = Sub (n, one)
   bounded = Min (surplus, top)
   m = Max (bounded, zero)
   k_float = Add (m, one)
   k = Cast <to = 7> (k_float)
   best, at = TopK <axis = 0> (z, k)
   end = Sub (k, one_int)
   threshold = Gather <axis = 0> (best, end)
   beyond = Sub (z, threshold)
   unusual = Tanh (beyond)
   own_prior_of = Mul (truth, prior)
   own_prior = ReduceSum <keepdims = 1> (own_prior_of, last)
   rarer = Sub (prior, own_prior)
   gain = Max (rarer, zero)
   rho = Mul (unusual, gain)
   flips = Greater (rho, u)
   candidates = Where (flips, rho, minus)
   chosen = ArgMax <axis = 1, keepdims = 0> (candidates)
   strength = ReduceMax <keepdims = 0> (candidates, last)
   any = GreaterOrEqual (strength, zero)
   new_labels = Where (any, chosen, labels)
   flip_rate = Max (strength, zero)
}}
""".replace("one_int)", "one_integer)").replace("   end =", "   one_integer = Constant <value_ints = [1]> ()\n   end =")


def program(text: str) -> bytes:
    """The model of a text; "__" in a name stands for a dot, which the text form doesn't allow."""
    model = onnx.parser.parse_model(text)
    for node in model.graph.node:
        node.input[:] = [name.replace("__", ".") for name in node.input]
        node.output[:] = [name.replace("__", ".") for name in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = value.name.replace("__", ".")
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)
