"""What a device reads of an ONNX file, and writes into it, without the onnx package."""
