"""CUDA kernels without a GPU: numba's stock simulator, made to know warps and to show races.

Call ``install()`` before kernels are imported; NUMBA_ENABLE_CUDASIM=1 must be set before numba is.
Lanes are greenlets. One runs until it must wait for others at a barrier or a warp operation (and
sometimes halts before a store); then another one does, picked by a seeded generator. So a kernel
that lacks a barrier answers differently for some seeds. Who waits for threads that never come gets
an error that tells who is where, and does not hang.

Stricter than hardware: the lanes of a mask, and the threads of a block, meet at one line of the
source, lanes that have returned are missed, and negative indices raise. More lenient: memory is
sequentially consistent; blocks, copies and streams go one after another; ``fma`` rounds twice.

Coverage follows greenlets only with ``concurrency = ["greenlet"]``.
"""

from __future__ import annotations

import functools
import inspect
import linecache
import math
import operator
import os
import random
import re
import sys
import textwrap
import threading
import types
import weakref
from collections import defaultdict
from contextlib import contextmanager, nullcontext
from contextvars import copy_context
from copy import copy

import numpy as np
from cuda.bindings.driver import CUresult
from greenlet import getcurrent, greenlet
from numba import cuda
from numba.cuda import libdevice
from numba.cuda.core import config
from numba.cuda.errors import normalize_kernel_dimensions
from numba.cuda.np.numpy_support import as_dtype
from numba.cuda.simulator import api, kernelapi
from numba.cuda.simulator.args import ArgHint, InOut
from numba.cuda.simulator.cudadrv import devicearray, devices, driver
from numba.cuda.simulator.kernel import FakeCUDAKernel

WARP = 32
RETURNED = (None, None, None, "returned")
GARBAGE = b"\xfa\x7f"  # repeated: NaN as float16, float32, float64; 0x7FFA7FFA as int32
TURN = 1 / 4  # how often another warp gets its turn, though this one could go on
HALT = 1 / 16  # how often a lane halts before a store: its += then loses what others added
DEVICE = {  # the least that numba-cuda supports
    "id": 0,
    "name": "simulator",
    "compute_capability": (7, 5),
    "MULTIPROCESSOR_COUNT": 4,
    "MAX_SHARED_MEMORY_PER_BLOCK": 48 * 1024,  # numba never asks for more, whoever has it
}

_random = random.Random(0)
_running = None  # the lane that runs
_one_launch = threading.Lock()
_lines = {}


class SynchronizationError(RuntimeError):
    """Threads wait for others that do not come."""


def seed(value):
    """Let lanes, warps and blocks run in another order from here on."""
    _random.seed(value)


def _shuffled(items):
    return sorted(items, key=lambda _: _random.random())


# ---- what kernels see of memory


class _Array(np.ndarray):
    def __getitem__(self, index, load=np.ndarray.__getitem__):
        _refuse_negative(index)
        return load(self, index)

    def __setitem__(self, index, value, store=np.ndarray.__setitem__):
        _refuse_negative(index)
        if _random.random() < HALT:
            _lane().block.hub.switch(None)
        store(self, index, value)

    def __repr__(self):  # numpy's counts from the end
        return repr(self.view(np.ndarray))

    __str__ = __repr__


def _refuse_negative(index):
    for part in index if index.__class__ is tuple else (index,):
        if part.__class__ is not slice and part < 0:
            raise IndexError(f"index {index} is negative")


@functools.cache
def _garbage(dtype):
    return np.frombuffer(GARBAGE * dtype.itemsize, dtype, count=1)[0]


def _dtype(of):
    return np.dtype(as_dtype(of) if isinstance(of, cuda.types.Type) else of)


def _local_array(shape, dtype, alignment=None):
    return np.full(shape, _garbage(_dtype(dtype))).view(_Array)


def _shared_array(shape, dtype, alignment=None):
    """Shape 0 is the dynamic memory; otherwise, one array per block and place in the code."""
    block, frame, dtype = _lane().block, sys._getframe(1), _dtype(dtype)
    if shape == 0:
        n_bytes = block.dynamic.size // dtype.itemsize * dtype.itemsize
        return block.dynamic[:n_bytes].view(dtype).view(_Array)
    place = id(frame.f_code), frame.f_lasti
    if place not in block.shared:
        block.shared[place] = _local_array(shape, dtype)
    return block.shared[place]


class _Atomic:
    """The stock operations, on plain arrays: their stores do not halt."""

    def __getattr__(self, name):
        operation = getattr(kernelapi.FakeCUDAAtomic(), name)
        return lambda array, *rest: operation(array.view(np.ndarray), *rest)


# ---- where threads meet: {thread: what it brings} -> {thread: what it gets}


def _agreed(answer):
    """All get what ``answer`` makes of the list of what they bring."""
    return lambda group: dict.fromkeys(group, answer([given[0] for given in group.values()]))


def _mask(lanes):
    return np.uint32(sum(1 << lane for lane in lanes))


def _ballot(group):
    votes = _mask(lane for lane, (vote,) in group.items() if vote)
    return dict.fromkeys(group, votes.astype(np.int32))  # signed, as the compiler types it


def _shuffle(giver_to):
    """The value of lane ``giver_to(own, by)``; off the warp, the own one; off the mask, garbage."""

    def answers(group):
        got = {}
        for lane, (value, by) in group.items():
            giver = giver_to(lane, int(by) % WARP)
            missing = _garbage(np.asarray(value).dtype) if 0 <= giver < WARP else value
            got[lane] = group[giver][0] if giver in group else missing
        return got

    return answers


MEETINGS = {
    "syncthreads": _agreed(lambda _: None),
    "syncthreads_count": _agreed(lambda values: sum(map(bool, values))),
    "syncthreads_and": _agreed(lambda values: int(all(values))),
    "syncthreads_or": _agreed(lambda values: int(any(values))),
    "syncwarp": _agreed(lambda _: None),
    "any_sync": _agreed(any),
    "all_sync": _agreed(all),
    "eq_sync": _agreed(lambda values: all(values) or not any(values)),
    "ballot_sync": _ballot,
    "shfl_sync": _shuffle(lambda own, lane: lane),
    "shfl_up_sync": _shuffle(operator.sub),
    "shfl_down_sync": _shuffle(operator.add),
    "shfl_xor_sync": _shuffle(operator.xor),
}


def _barrier(name):
    return lambda self, *given: _meet(name, None, given)


def _warp_operation(name):
    return lambda self, mask=0xFFFFFFFF, *given: _meet(name, int(mask) & 0xFFFFFFFF, given)


def _meet(name, mask, given):
    """Wait until all have come to this line of the kernel; return what they make of it."""
    lane, frame = _lane(), sys._getframe(2)
    at = id(frame.f_code), frame.f_lasti
    if at not in _lines:  # slow to look up; who keeps the code keeps its id from another
        file = os.path.basename(frame.f_code.co_filename)
        _lines[at] = f"{name} at {file}:{frame.f_lineno}", frame.f_code
    if mask is not None and not mask >> lane.number % WARP & 1:
        raise SynchronizationError(f"{name}: lane {lane.number % WARP} is not in {mask:#010x}")
    warp = None if mask is None else lane.number // WARP
    return lane.block.hub.switch((name, mask, warp, _lines[at][0]), given or (None,))


# ---- the scheduler


def _lane():
    if _running is None:
        raise AttributeError("there are threads only while a kernel runs")
    return _running


class _Lane:
    def __init__(self, block, number, threadIdx, run):
        self.block, self.number, self.threadIdx = block, number, threadIdx
        self.place, self.answer = None, ()
        self.greenlet = greenlet(run)
        self.greenlet.gr_context = copy_context()  # np.errstate around the launch holds within

    def run(self):
        """Run until this lane waits, halts or returns; tell where it waits and with what."""
        global _running
        _running = self
        answer, self.answer = self.answer, ()
        try:
            return self.greenlet.switch(*answer)
        except Exception as error:
            message, *rest = error.args or ("",)
            error.args = (f"{message} [{self.block}, thread {self.threadIdx}]", *rest)
            raise


class _Block:
    def __init__(self, kernel, blockIdx, threads, arguments):
        self.kernel, self.blockIdx, self.hub = kernel, blockIdx, getcurrent()
        self.shared = {}
        self.dynamic = np.resize(np.frombuffer(GARBAGE, np.uint8), kernel.dynshared_size)
        run = functools.partial(kernel.fn, *arguments)
        self.lanes = [_Lane(self, number, at, run) for number, at in enumerate(threads)]
        self.ready = [self.lanes[i : i + WARP] for i in range(0, len(threads), WARP)]
        self.meetings = defaultdict(dict)

    def __str__(self):
        return f"kernel {self.kernel.__name__}, block {self.blockIdx}"

    def run(self):
        """Run warps in any order, mostly each as far as it can: far ahead of others shows most."""
        turns = _shuffled(range(len(self.ready)))
        while any(self.ready):
            if _random.random() < TURN:
                turns = _shuffled(turns)
            warp = next(warp for warp in turns if self.ready[warp])
            lanes, self.ready[warp] = self.ready[warp], []
            for lane in _shuffled(lanes):
                arrival = lane.run()
                if lane.greenlet.dead:
                    lane.place = RETURNED
                elif arrival:
                    self.meet(lane, *arrival)
                else:
                    self.ready[warp].append(lane)
        if any(lane.place is not RETURNED for lane in self.lanes):
            raise SynchronizationError(f"{self}: nobody can go on\n{self.whereabouts()}")

    def meet(self, lane, place, given):
        name, mask, warp, _ = lane.place = place
        first = 0 if warp is None else warp * WARP
        group = self.meetings[place]
        group[lane.number - first] = given
        if len(group) == (len(self.lanes) if mask is None else mask.bit_count()):
            del self.meetings[place]
            for number, answer in MEETINGS[name](group).items():
                self.lanes[first + number].answer = (answer,)
                self.ready[(first + number) // WARP].append(self.lanes[first + number])

    def whereabouts(self):
        lanes = defaultdict(list)
        for lane in self.lanes:
            lanes[lane.number // WARP, lane.place].append(lane.number % WARP)
        return "\n".join(
            f"  warp {warp}: {what}{'' if mask is None else f', mask {mask:#010x}'}, lanes {those}"
            for (warp, (_, mask, _, what)), those in lanes.items()
        )


def _call(kernel, *arguments):
    if kernel._device or (_running is not None and getcurrent() is _running.greenlet):
        return kernel.fn(*arguments)
    return _launch(kernel, arguments)


def _launch(kernel, arguments):
    global _running
    grid, block = normalize_kernel_dimensions(kernel.grid_dim, kernel.block_dim)
    too_large = kernel.dynshared_size > cuda.get_current_device().MAX_SHARED_MEMORY_PER_BLOCK
    if min(grid + block) < 1 or math.prod(block) > 1024 or max(grid[1:]) > 65535 or too_large:
        raise CudaAPIError(CUresult.CUDA_ERROR_INVALID_VALUE, "cuLaunchKernel")
    threads = [kernelapi.Dim3(x, y, z) for z, y, x in np.ndindex(block[::-1])]
    with _one_launch:
        copies_back = []
        arguments = [_within_kernel(argument, copies_back) for argument in arguments]
        try:
            for blockIdx in _shuffled(np.ndindex(grid)):
                _Block(kernel, kernelapi.Dim3(*blockIdx), threads, arguments).run()
        finally:
            _running = None
        for copy_back in copies_back:
            copy_back()


def _within_kernel(argument, copies_back):
    if isinstance(argument, tuple):
        return tuple(_within_kernel(part, copies_back) for part in argument)
    if isinstance(argument, np.ndarray) and argument.ndim:
        argument = InOut(argument)
    if isinstance(argument, ArgHint):
        argument = argument.to_device(copies_back)
    if isinstance(argument, devicearray.FakeCUDAArray):
        return argument._ary.view(_Array)
    return argument


def _configured(kernel, configuration):
    kernel = copy(kernel)  # the stock one remembers its last configuration, whoever made it
    kernel.grid_dim, kernel.block_dim = normalize_kernel_dimensions(*configuration[:2])
    kernel.dynshared_size = configuration[3] if len(configuration) > 3 else 0
    return kernel


def _bits(value):
    width = 8 * getattr(value, "itemsize", 8)  # plain integers are int64 to the compiler
    return int(value) & (1 << width) - 1


class SimulatedCuda(types.ModuleType, kernelapi.FakeCUDAModule):
    """``numba.cuda`` as host and kernels see it, under whatever name they import it."""

    local = types.SimpleNamespace(array=_local_array)
    shared = types.SimpleNamespace(array=_shared_array)
    const, atomic, fp16 = kernelapi.FakeCUDAConst(), _Atomic(), kernelapi.FakeCUDAFp16()
    threadIdx = property(lambda self: _lane().threadIdx)
    blockIdx = property(lambda self: _lane().block.blockIdx)
    blockDim = property(lambda self: kernelapi.Dim3(*_lane().block.kernel.block_dim))
    gridDim = property(lambda self: kernelapi.Dim3(*_lane().block.kernel.grid_dim))
    laneid = property(lambda self: _lane().number % WARP)

    def lanemask_lt(self):
        return _mask(range(self.laneid))

    def activemask(self):
        """The least that hardware may answer: nobody else is at this instruction right now."""
        return _mask([self.laneid])

    def popc(self, value):
        return _bits(value).bit_count()

    def ffs(self, value):
        return (_bits(value) & -_bits(value)).bit_length()


for _name in MEETINGS:
    _method = _barrier if _name.startswith("syncthreads") else _warp_operation
    setattr(SimulatedCuda, _name, _method(_name))


# ---- the host's side


class CudaAPIError(driver.CudaAPIError):
    """As hardware raises it: ``code`` is a CUresult, such as CUDA_ERROR_OUT_OF_MEMORY (2)."""

    def __init__(self, code, function):
        self.code, self.msg = code, f"Call to {function} results in {code.name}"
        super().__init__(f"[{code}] {self.msg}")


class _Memory:
    def __init__(self, function, free, total):
        self.function, self.free, self.total = function, free, total

    def take(self, array):
        """Count ``array`` until it and its views are gone."""
        while isinstance(array.base, np.ndarray):
            array = array.base
        if array.nbytes > self.free:
            raise CudaAPIError(CUresult.CUDA_ERROR_OUT_OF_MEMORY, self.function)
        self.give(-array.nbytes)
        weakref.finalize(array, self.give, array.nbytes).atexit = False

    def give(self, n_bytes):
        self.free += n_bytes


def _memories(free, total, pinned):
    return _Memory("cuMemAlloc", free, total), _Memory("cuMemHostAlloc", pinned, pinned)


_device, _pinned = _memories(2**34, 2**34, 2**34)


@contextmanager
def limited_memory(free, *, total=None, pinned=None):
    """Let the device have ``free`` bytes free, of ``total``; an allocation beyond them raises.

    It raises what hardware does: ``numba.cuda.cudadrv.driver.CudaAPIError`` with ``code`` 2.
    Pinned host memory is counted on its own; it is as large, unless ``pinned`` tells.
    """
    global _device, _pinned
    before = _device, _pinned
    _device, _pinned = _memories(free, total or free, free if pinned is None else pinned)
    try:
        yield
    finally:
        _device, _pinned = before


def _counted(allocate):
    @functools.wraps(allocate)
    def counted(*args, **options):
        array = allocate(*args, **options)
        if isinstance(array, devicearray.FakeCUDAArray):
            _device.take(array._ary)
        elif array is not None:  # to_device(..., to=) allocates nothing
            _pinned.take(array)
        if allocate.__name__ != "to_device":
            array[...] = _garbage(array.dtype)
        return array

    return counted


def _jit(function=None, device=False, **options):
    """Ignore signatures and what else only a compiler needs."""
    if isinstance(function, types.FunctionType):
        return FakeCUDAKernel(function, device)
    return lambda function: FakeCUDAKernel(function, device)


def _as_cuda_array(array, sync=True):
    if not cuda.is_cuda_array(array):
        raise TypeError("*obj* doesn't implement the cuda array interface.")
    holder = types.SimpleNamespace(__array_interface__=array.__cuda_array_interface__, of=array)
    return devicearray.FakeCUDAArray(np.asarray(holder))


def install(start=0):
    """Patch the stock simulator in this process, and ``seed(start)``.

    Raises
    ------
    RuntimeError
        Where numba was imported without NUMBA_ENABLE_CUDASIM=1.
    """
    if not config.ENABLE_CUDASIM:
        raise RuntimeError("the simulator needs NUMBA_ENABLE_CUDASIM=1 before numba is imported")
    seed(start)
    if isinstance(cuda, SimulatedCuda):
        return
    FakeCUDAKernel.__call__, FakeCUDAKernel.__getitem__ = _call, _configured
    for name in ("device_array", "pinned_array", "to_device"):
        setattr(devicearray, name, _counted(getattr(devicearray, name)))
        setattr(cuda, name, getattr(devicearray, name))
    devicearray.FakeCUDAArray.__cuda_array_interface__ = property(
        lambda array: array._ary.__array_interface__
    )
    devices.FakeCUDAContext.get_memory_info = lambda _: devices._MemoryInfo(
        _device.free, _device.total
    )
    devices.FakeCUDAContext.__getattr__ = lambda context, name: getattr(context.device, name)
    for name, value in DEVICE.items():
        setattr(devices.FakeCUDADevice, name, value)
    for letter, real in ("d", np.float64), ("f", np.float32):
        for name in "add", "mul":
            operation = functools.partial(_rounded, getattr(operator, name), real)
            setattr(libdevice, f"{letter}{name}_rn", operation)
    cuda.jit = api.jit = _jit
    cuda.event = lambda timing=True: api.Event()
    cuda.event_elapsed_time = lambda start, end: start.elapsed_time(end)
    cuda.select_device = lambda number: cuda.gpus[number].device
    cuda.pinned = lambda *arrays: nullcontext()
    cuda.is_cuda_array = lambda array: hasattr(array, "__cuda_array_interface__")
    cuda.as_cuda_array = _as_cuda_array
    cuda.__class__ = SimulatedCuda


def _rounded(operation, real, x, y):
    return operation(real(x), real(y))


# ---- kernels with a mistake


def mutated(function, text, replacement, occurrence=0, pattern="({})"):
    """Compile ``function`` anew, a kernel or what makes kernels, with ``text`` replaced once.

    Its decorators are applied again, in a copy of its globals and of what it closes over.
    ``pattern`` tells where in a line ``text`` counts.

    Raises
    ------
    ValueError
        If the source has ``text`` no more than ``occurrence`` times.
    """
    function = inspect.unwrap(function)
    source = textwrap.dedent(inspect.getsource(function))
    matches = list(re.finditer(pattern.format(re.escape(text)), source, re.MULTILINE))
    if len(matches) <= occurrence:
        raise ValueError(f"{function.__name__} has {len(matches)} {text!r}, and no {occurrence}")
    start, end = matches[occurrence].span(1)
    source = source[:start] + replacement + source[end:]
    name = f"<{function.__name__}, {text!r} {occurrence} replaced by {replacement!r}>"
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    closed_over = [cell.cell_contents for cell in function.__closure__ or ()]
    names = function.__globals__ | dict(zip(function.__code__.co_freevars, closed_over))
    exec(compile(source, name, "exec"), names)
    return names[function.__name__]


def without(function, statement, occurrence=0):
    """``mutated`` where ``statement`` is all that a line has: it becomes ``pass``."""
    return mutated(function, statement, "pass", occurrence, r"^[ \t]*({})[ \t]*(?:#.*)?$")
