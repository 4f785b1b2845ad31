"""Networks as ONNX files, and whether every runtime computes what torch does."""
