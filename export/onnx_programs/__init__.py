"""A traced program as an ONNX file, in the forms that ONNX Runtime runs fast."""
