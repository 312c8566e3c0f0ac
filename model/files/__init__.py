"""Model directories, and the published checkpoints that become one."""
