"""GLIP itself, module by module: image pyramid, text encoder, fused tower, head."""
