"""The network in other people's hands: Hugging Face's Auto classes and processor, ONNX."""
