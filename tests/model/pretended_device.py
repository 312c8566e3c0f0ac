"""A device that is not there: tensors that say they are on it, and are computed on the CPU.

What a GPU refuses is refused: an operation that mixes it with a tensor of the CPU, numpy's view of
its memory. What makes the CPU wait for a GPU is counted, and so is what is copied to it. It says
nothing of speed, of half precision or of a GPU's own kernels.

torch keeps a place for a backend that is written in Python; it is taken for the whole process, so
use this in a process of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

CPU = torch.device("cpu")
COPIES = frozenset({"_to_copy", "copy_"})
INDEXING = frozenset({"index", "index_put", "index_put_", "_unsafe_index"})
"""Kernels that take indices of the CPU as well."""
WAITS = frozenset({"_local_scalar_dense", "nonzero", "masked_select", "unique_dim", "_unique2"})


class Pretended(Tensor):
    """A tensor of the device; `held` has its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor, device: torch.device) -> Pretended:
        """The same values, on the device."""
        made: Pretended = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=device,
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Outside of the mode nothing is computed."""
        raise RuntimeError(f"{func}: outside of the pretended device")


class PretendedDevice(TorchDispatchMode):
    """While it is entered, `device` can be computed on."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.waits: Counter[str] = Counter()
        """How often each operation made the CPU wait."""
        self.uploads = 0
        """Tensors copied to the device."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Computed on the CPU; the answer is where the device would have it."""
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        given = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
        here = [x for x in given if isinstance(x, Pretended)]
        there = [x for x in given if not isinstance(x, Pretended) and x.dim() > 0]
        asked = kwargs.get("device")
        if asked is not None:
            on_device = torch.device(asked).type == self.device.type
            if on_device:
                kwargs["device"] = CPU
        else:
            on_device = bool(here)
        if name in INDEXING:
            there = [x for x in there if x is given[0] or x.is_floating_point()]
        if here and there and name not in COPIES:
            shapes = [tuple(x.shape) for x in there]
            raise RuntimeError(f"{name}: {self.device} and cpu {shapes} in one operation")
        chosen = name == "index" and any(x.dtype == torch.bool for x in here[1:])
        if here and (name in WAITS or chosen or (name == "_to_copy" and not on_device)):
            self.waits[name] += 1
        if name in COPIES and on_device and there:
            self.uploads += 1
        found = func(*tree_map(_held, args), **tree_map(_held, kwargs))
        known = {id(x.held): x for x in here}  # in place: the tensor itself is the answer

        def put(value: Any) -> Any:
            if not isinstance(value, Tensor) or isinstance(value, Pretended):
                return value
            return known[id(value)] if id(value) in known else Pretended(value, self.device)

        return tree_map(put, found) if on_device else found


def _held(value: Any) -> Any:
    return value.held if isinstance(value, Pretended) else value


class MadeFromNumbers(TorchFunctionMode):
    """`torch.tensor` builds without asking the dispatcher: here, on the CPU and moved."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """As asked."""
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)
        name = getattr(func, "__name__", "")
        if name == "new_tensor":
            like, *rest = args
            return torch.tensor(*rest, dtype=like.dtype).to(like.device)
        if name == "tolist" and isinstance(args[0], Pretended):
            return args[0].cpu().tolist()
        return func(*args, **kwargs)


@contextmanager
def pretended(device: torch.device) -> Iterator[PretendedDevice]:
    """The device, entered. Inference mode is plain `no_grad`: its tensors cannot be wrapped."""
    no_grad = torch.no_grad()
    with (
        patch.object(torch.inference_mode, "__enter__", lambda _: no_grad.__enter__()),
        patch.object(torch.inference_mode, "__exit__", lambda _, *why: no_grad.__exit__(*why)),
        PretendedDevice(device) as entered,
        MadeFromNumbers(),
    ):
        yield entered


class DeviceModule(_DummyBackendModule):
    """What `torch.NAME` offers."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """Of autocast."""
        return [torch.bfloat16, torch.float16]


def set_up(name: str) -> torch.device:
    """Makes torch know the device, for the rest of the process."""
    _setup_privateuseone_for_python_backend(name, DeviceModule())  # type: ignore[no-untyped-call]
    return torch.device(name, 0)
