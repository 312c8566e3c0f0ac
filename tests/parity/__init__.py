"""Our model against recorded tensors of the reference: `python -m tests.parity FIXTURE.npz ...`"""
