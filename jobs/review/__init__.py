"""What `glipforge review` does, one module an action."""
