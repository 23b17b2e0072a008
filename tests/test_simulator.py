"""The simulator computes what hardware would, shows races, and tells who waits in vain."""

from __future__ import annotations

import functools
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest
from numba import float32, float64, int32, int64

if not getattr(numba.config, "ENABLE_CUDASIM", 0):
    pytest.skip("needs NUMBA_ENABLE_CUDASIM=1, read as numba starts", allow_module_level=True)
pytest.importorskip("greenlet")
pytest.importorskip("numba_cuda")
simulator = pytest.importorskip("simulator")
cuda = pytest.importorskip("numba.cuda")

simulator.install()

FULL = 0xFFFFFFFF
LANES = np.arange(32)
SEEDS = range(20)


def launched(kernel, *arrays, threads=32, blocks=1, shared=0, out=np.int64, shape=None):
    """What ``kernel`` writes into its last argument, an element per thread unless told."""
    result = cuda.device_array(shape or np.prod(blocks) * np.prod(threads), out)
    kernel[blocks, threads, 0, shared](*map(cuda.to_device, arrays), result)
    return result.copy_to_host()


def outcomes(kernel, *arrays, **options):
    """The different answers of ``kernel``, as bytes, for the seeds."""
    answers = set()
    for value in SEEDS:
        simulator.seed(value)
        answers.add(launched(kernel, *arrays, **options).tobytes())
    return answers


@pytest.fixture(autouse=True)
def _seeded():
    simulator.seed(0)


# ---- races


@cuda.jit
def block_sum(x, out):
    t = cuda.threadIdx.x
    parts = cuda.shared.array(128, float64)
    parts[t] = x[t]
    cuda.syncthreads()
    half = 64
    while half > 0:
        if t < half:
            parts[t] += parts[t + half]
        cuda.syncthreads()
        half //= 2
    out[t] = parts[0]


@cuda.jit
def reversed_warps(x, out):
    t = cuda.threadIdx.x
    mine = cuda.shared.array((4, 32), float64)
    mine[t // 32, t % 32] = x[t]
    cuda.syncwarp()
    out[t] = mine[t // 32, 31 - t % 32]


@cuda.jit
def next_warp(x, out):
    """Only other warps are read: within each, lanes are in step."""
    t = cuda.threadIdx.x
    mine = cuda.shared.array(128, float64)
    mine[t] = x[t]
    cuda.syncwarp()
    cuda.syncthreads()
    out[t] = mine[(t + 32) % 128]


@cuda.jit
def rotated(x, out):
    """Every lane reads before any writes, many times over."""
    t = cuda.threadIdx.x
    ring = cuda.shared.array(128, float64)
    ring[t] = x[t]
    for _ in range(5):
        cuda.syncthreads()
        value = ring[(t + 1) % 128]
        cuda.syncthreads()
        ring[t] = value
    cuda.syncthreads()
    out[t] = ring[t]


X = np.arange(128.0) ** 2


@pytest.mark.parametrize(
    ("kernel", "right", "statement", "occurrences"),
    [
        (block_sum, np.full(128, X.sum()), "cuda.syncthreads()", 2),
        (reversed_warps, X.reshape(4, 32)[:, ::-1].ravel(), "cuda.syncwarp()", 1),
        (next_warp, np.roll(X, -32), "cuda.syncthreads()", 1),
        (rotated, np.roll(X, -5), "cuda.syncthreads()", 2),
    ],
)
def test_a_missing_barrier_shows(kernel, right, statement, occurrences):
    assert outcomes(kernel, X, threads=128, out=np.float64) == {right.tobytes()}
    for occurrence in range(occurrences):
        racing = simulator.without(kernel, statement, occurrence)
        answers = outcomes(racing, X, threads=128, out=np.float64)
        assert answers - {right.tobytes()}, f"{statement} {occurrence} is not missed"


def test_additions_are_lost_unless_atomic():
    @cuda.jit
    def racing(out):
        out[0] += 1

    @cuda.jit
    def atomic(out):
        cuda.atomic.add(out, 0, 1)

    for kernel, always in (racing, False), (atomic, True):
        totals = set()
        for value in SEEDS:
            simulator.seed(value)
            total = cuda.to_device(np.zeros(1, np.int64))
            kernel[1, 64](total)
            totals.add(int(total[0]))
        assert (totals == {64}) == always
        assert len(totals) > 1 or always


def test_blocks_and_warps_and_lanes_take_any_order():
    @cuda.jit
    def order(turn, out):
        out[cuda.grid(1)] = cuda.atomic.add(turn, 0, 1)

    firsts = set()
    for value in SEEDS:
        simulator.seed(value)
        turns = launched(order, np.zeros(1, np.int64), threads=64, blocks=2)
        assert sorted(turns) == list(range(128))
        firsts.add(int(np.argmin(turns)))
    assert {first // 64 for first in firsts} == {0, 1}
    assert {first // 32 % 2 for first in firsts} == {0, 1}
    assert len({first % 32 for first in firsts}) > 5


def test_warps_overtake_each_other():
    @cuda.jit
    def tickets(turn, out):
        for i in range(8):
            cuda.syncwarp()
            out[cuda.grid(1), i] = cuda.atomic.add(turn, 0, 1)

    alone = 0
    for value in SEEDS:
        simulator.seed(value)
        taken = launched(tickets, np.zeros(1, np.int64), threads=64, shape=(64, 8))
        alone += np.ptp(taken[:32]) == 255
    assert 0 < alone < len(SEEDS), "a warp runs to its end at times, and is interrupted at others"


def test_a_seed_repeats_its_order():
    @cuda.jit
    def order(turn, out):
        out[cuda.grid(1)] = cuda.atomic.add(turn, 0, 1)

    def turns():
        return tuple(launched(order, np.zeros(1, np.int64), threads=64, blocks=2))

    simulator.seed(3)
    first, second = turns(), turns()
    simulator.install(3)
    assert first == turns() != second


# ---- warp operations


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64])
def test_shuffles(dtype):
    @cuda.jit
    def shuffles(x, by, out):
        lane = cuda.laneid
        value = x[lane]
        out[0, lane] = cuda.shfl_sync(FULL, value, by[lane])
        out[1, lane] = cuda.shfl_up_sync(FULL, value, 3)
        out[2, lane] = cuda.shfl_down_sync(FULL, value, 3)
        out[3, lane] = cuda.shfl_xor_sync(FULL, value, 5)
        assert cuda.shfl_xor_sync(FULL, value, 5).dtype == dtype

    x = (LANES**2).astype(dtype)
    by = np.random.default_rng(0).integers(0, 64, 32)  # hardware takes it modulo 32
    got = launched(shuffles, x, by, out=dtype, shape=(4, 32))
    np.testing.assert_array_equal(got[0], x[by % 32])
    np.testing.assert_array_equal(got[1], x[np.where(LANES < 3, LANES, LANES - 3)])
    np.testing.assert_array_equal(got[2], x[np.where(LANES > 28, LANES, LANES + 3)])
    np.testing.assert_array_equal(got[3], x[LANES ^ 5])


def test_a_shuffle_from_outside_the_mask_is_garbage():
    @cuda.jit
    def lower_half(out):
        lane = cuda.laneid
        out[lane] = lane
        if lane < 16:
            out[lane] = cuda.shfl_down_sync(0xFFFF, float32(lane), 1)

    got = launched(lower_half, out=np.float32)
    assert np.isnan(got[15])
    np.testing.assert_array_equal(
        np.delete(got, 15), np.delete(np.where(LANES < 15, LANES + 1, LANES), 15)
    )


@pytest.mark.parametrize("votes", [0, 1, 0x80000001, 0xF0F0, FULL])
def test_votes(votes):
    @cuda.jit
    def vote(x, out):
        lane = cuda.laneid
        out[0, lane] = cuda.any_sync(FULL, x[lane])
        out[1, lane] = cuda.all_sync(FULL, x[lane])
        out[2, lane] = cuda.eq_sync(FULL, x[lane])
        out[3, lane] = np.uint32(cuda.ballot_sync(FULL, x[lane]))
        out[4, lane] = cuda.syncthreads_count(int32(x[lane]))
        out[5, lane] = cuda.syncthreads_and(int32(x[lane]))
        out[6, lane] = cuda.syncthreads_or(int32(x[lane]))
        assert cuda.ballot_sync(FULL, x[lane]).dtype == np.int32

    x = (votes >> LANES) & 1 == 1
    got = launched(vote, x, shape=(7, 32))
    right = [x.any(), x.all(), x.all() or not x.any(), votes, x.sum(), x.all(), x.any()]
    np.testing.assert_array_equal(got, np.repeat(np.array(right, np.int64)[:, None], 32, axis=1))


def test_parts_of_a_warp_meet_on_their_own():
    @cuda.jit
    def halves(out):
        t = cuda.threadIdx.x
        rounds = 1 + t // 16
        for _ in range(rounds):
            if t % 32 < 16:
                out[t] = np.uint32(cuda.ballot_sync(np.int32(0xFFFF), t % 2))
            else:
                out[t] = np.uint32(cuda.ballot_sync(np.uint32(0xFFFF0000), t % 2))

    got = launched(halves, threads=64)
    np.testing.assert_array_equal(got, np.where(np.arange(64) % 32 < 16, 0x0000AAAA, 0xAAAA0000))


def test_lanes_know_their_place():
    @cuda.jit
    def places(out):
        i = cuda.grid(1)
        out[i, 0] = cuda.laneid
        out[i, 1] = cuda.lanemask_lt()
        out[i, 2] = cuda.activemask() >> np.uint32(cuda.laneid) & 1
        out[i, 3] = cuda.gridsize(1)
        out[i, 4] = cuda.warpsize

    got = launched(places, threads=64, blocks=2, shape=(128, 5))
    lane = np.arange(128) % 32
    right = np.stack([lane, (1 << lane) - 1, lane * 0 + 1, lane * 0 + 128, lane * 0 + 32], axis=1)
    np.testing.assert_array_equal(got, right)


def test_grids_of_three_dimensions():
    @cuda.jit
    def places(out):
        x, y, z = cuda.grid(3)
        out[x, y, z] = (
            cuda.threadIdx.x
            + cuda.threadIdx.y * cuda.blockDim.x
            + cuda.threadIdx.z * cuda.blockDim.x * cuda.blockDim.y
        ) % 32 - cuda.laneid
        out[x, y, z] += cuda.blockIdx.z + 10 * cuda.gridDim.z

    got = launched(places, threads=(4, 5, 3), blocks=(2, 1, 2), shape=(8, 5, 6))
    np.testing.assert_array_equal(got, np.broadcast_to(20 + np.arange(6) // 3, got.shape))


@pytest.mark.parametrize(
    ("value", "ones", "first"),
    [
        (np.uint32(0x80000000), 1, 32),
        (np.uint64(1 << 63), 1, 64),
        (np.int32(-1), 32, 1),
        (np.int32(-8), 29, 4),
        (-1, 64, 1),
        (np.uint8(6), 2, 2),
        (0, 0, 0),
    ],
)
def test_bits(value, ones, first):
    assert (cuda.popc(value), cuda.ffs(value)) == (ones, first)


def test_rounded_products():
    assert cuda.libdevice.dmul_rn(0.1, 3) == 0.1 * 3
    assert cuda.libdevice.fmul_rn(0.1, 3).dtype == np.float32


# ---- memory


def test_shared_arrays_are_one_per_block_and_place():
    @cuda.jit
    def apart(out):
        t = cuda.threadIdx.x
        a, b = cuda.shared.array(32, int64, alignment=16), cuda.shared.array(32, int64)
        c = cuda.shared.array((4, 8), dtype=np.int64)
        a[t], b[t], c[t // 8, t % 8] = cuda.blockIdx.x, 10, 100
        cuda.syncthreads()
        out[cuda.grid(1)] = a[31 - t] + b[31 - t] + c[3 - t // 8, 7 - t % 8]

    got = launched(apart, blocks=3)
    np.testing.assert_array_equal(got, 110 + np.repeat([0, 1, 2], 32))


def test_dynamic_shared_memory_is_one_array_of_bytes():
    @cuda.jit
    def dynamic(out):
        floats = cuda.shared.array(0, float32, alignment=16)
        ints = cuda.shared.array(0, int32)
        doubles = cuda.shared.array(0, float64)
        if cuda.threadIdx.x == 0:
            floats[1] = 1.0
            out[0] = ints[1]
            out[1] = len(floats)
            out[2] = len(doubles)
            out[3] = np.isnan(floats[0]) and np.isnan(doubles[5])
            out[4] = ints[2]

    got = launched(dynamic, shared=52, shape=5)
    np.testing.assert_array_equal(got, [0x3F800000, 13, 6, 1, 0x7FFA7FFA])
    with pytest.raises(IndexError):  # a launch does not inherit the bytes of the one before
        launched(dynamic, shape=5)


def test_memory_starts_as_garbage():
    @cuda.jit
    def fresh(out):
        for place in cuda.local.array, cuda.shared.array:
            assert np.isnan(place(3, float32)[2])
            assert np.isnan(place((2, 3), float64, alignment=16)[1, 2])
            assert place(3, int32)[0] == 0x7FFA7FFA
            assert place(3, np.uint8)[0] == 0xFA
        mine = cuda.local.array(1, int64)
        mine[0] = cuda.laneid
        cuda.syncwarp()
        out[cuda.laneid] = mine[0]

    np.testing.assert_array_equal(launched(fresh), LANES)
    assert np.isnan(cuda.device_array((2, 3), np.float32).copy_to_host()).all()
    assert np.isnan(cuda.device_array((2, 3), np.float64, order="F").copy_to_host()).all()
    assert (cuda.pinned_array(5, np.int32) == 0x7FFA7FFA).all()


def test_float32_stays_float32():
    @cuda.jit
    def arithmetic(x, out):
        shared, local = cuda.shared.array(32, float32), cuda.local.array(1, float32)
        shared[cuda.laneid] = local[0] = x[cuda.laneid]
        value = cuda.shfl_sync(FULL, shared[cuda.laneid] * local[0] + 1, cuda.laneid)
        assert value.dtype == np.float32
        assert max(abs(-value), float32(0)).dtype == np.float32
        out[cuda.laneid] = value

    x = np.linspace(0, 1, 32, dtype=np.float32)
    np.testing.assert_array_equal(launched(arithmetic, x, out=np.float32), x * x + np.float32(1))


@pytest.mark.parametrize(
    "mistake",
    [
        lambda x, y: x[-1],
        lambda x, y: x[np.int32(-1)],
        lambda x, y: y[0, -1],
        lambda x, y: y[1][-1],
        lambda x, y: x[32],
        lambda x, y: x.__setitem__(-2, 0),
        lambda x, y: cuda.local.array(4, int32)[-1],
        lambda x, y: cuda.shared.array((4, 4), int32)[1, -1],
        lambda x, y: cuda.shared.array(4, int32)[4],
    ],
)
def test_indices_stay_within_arrays(mistake):
    @cuda.jit
    def indexing(x, y, out):
        assert x[0:3].sum() == 0
        assert y[1, :].sum() == y[1].sum() == 0
        if cuda.grid(1) == 70:
            mistake(x, y)

    zeros = np.zeros(32), np.zeros((2, 3))
    with pytest.raises(IndexError, match=r"kernel indexing, block \(1, 0, 0\), thread \(6, 0, 0\)"):
        launched(indexing, *zeros, threads=64, blocks=2)


def test_warnings_of_numpy_raise_and_errstate_silences_them():
    @cuda.jit
    def overflows(x, out):
        out[cuda.laneid] = x[0] * x[0]

    large = np.array([1e38], np.float32)
    with pytest.raises(RuntimeWarning, match=r"overflow.*kernel overflows, block .* thread"):
        launched(overflows, large)
    with np.errstate(over="ignore"):
        assert np.isinf(launched(overflows, large, out=np.float32)).all()


# ---- waiting in vain


def divergent(t):
    if t < 40:
        cuda.any_sync(FULL, True)


def sums_of_some(t):
    if t < 40:
        return
    cuda.shfl_xor_sync(FULL, t, 1)


def partial_barrier(t):
    if t < 40:
        cuda.syncthreads()


def mixed_barriers(t):
    if t < 32:
        cuda.syncthreads()
    else:
        cuda.syncthreads_count(1)


def barriers_on_two_lines(t):
    if t < 32:
        cuda.syncthreads()
    else:
        cuda.syncthreads()


def two_operations(t):
    if t < 8:
        cuda.ballot_sync(FULL, True)
    else:
        cuda.syncwarp()


def two_masks(t):
    cuda.syncwarp(0xFF if t < 8 else FULL)


def barrier_or_warp(t):
    if t < 32:
        cuda.syncthreads()
    elif t < 50:
        cuda.syncwarp()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (divergent, r"warp 1: any_sync at test_simulator.py:\d+, mask 0xffffffff, lanes \[0, 1, 2"),
        (divergent, r"warp 1: returned, lanes \[8, 9, .*, 31\]"),
        (sums_of_some, r"warp 1: returned, lanes \[0, 1, 2, 3, 4, 5, 6, 7\]"),
        (partial_barrier, r"warp 1: syncthreads at .*, lanes \[0, 1, 2, 3, 4, 5, 6, 7\]"),
        (mixed_barriers, r"warp 1: syncthreads_count at "),
        (barriers_on_two_lines, r"warp 1: syncthreads at "),
        (two_operations, r"warp 0: ballot_sync at .*lanes \[0, 1, 2, 3, 4, 5, 6, 7\]"),
        (two_masks, r"mask 0xffffffff, lanes \[8, 9"),
        (barrier_or_warp, r"warp 1: syncwarp at .*, mask 0xffffffff, lanes \[0, 1, .*, 17\]"),
    ],
)
def test_waiting_in_vain_is_told(body, told):
    @cuda.jit
    def stuck(out):
        body(cuda.threadIdx.x)

    with pytest.raises(simulator.SynchronizationError, match="kernel stuck, block") as error:
        launched(stuck, threads=64)
    error.match(told)
    assert np.array_equal(launched(block_sum, X, threads=128), np.full(128, X.sum()))


def test_masks_name_lanes_that_exist_and_the_own_one():
    @cuda.jit
    def masked(out):
        cuda.syncwarp(0x7FFFFFFF)

    with pytest.raises(simulator.SynchronizationError, match=r"lane 31 is not in .* thread \(31,"):
        launched(masked)
    with pytest.raises(simulator.SynchronizationError, match="mask 0x7fffffff"):
        launched(masked, threads=16)


# ---- kernels and their launches


def test_options_of_the_compiler_are_accepted():
    @cuda.jit(device=True, inline="always", forceinline=True)
    def double(x):
        cuda.syncwarp()
        return 2 * x

    @cuda.jit(
        "void(int64[::1])",
        launch_bounds=(128, 2),
        lto=False,
        max_registers=64,
        cache=True,
        fastmath={"contract"},
        shared_memory_carveout=50,
        opt=True,
        lineinfo=True,
        debug=False,
    )
    def kernel(out):
        out[cuda.threadIdx.x] = double(cuda.threadIdx.x)

    np.testing.assert_array_equal(launched(kernel), 2 * LANES)


def test_kernels_may_import_cuda_as_they_like():
    from numba import cuda as compute
    from numba.cuda import syncthreads

    @compute.jit
    def kernel(out):
        mine = compute.shared.array(32, int64)
        mine[compute.laneid] = compute.threadIdx.x
        syncthreads()
        out[compute.threadIdx.x] = mine[31 - compute.laneid]

    np.testing.assert_array_equal(launched(kernel), LANES[::-1])
    assert not hasattr(cuda, "threadIdx")
    with pytest.raises(AttributeError, match="only while a kernel runs"):
        cuda.syncthreads()


def test_configurations_are_kept_apart():
    @cuda.jit
    def size(out):
        cuda.atomic.add(out, 0, 1)

    small, large = size[1, 32], size[2, 64]
    for configured, threads in (small, 32), (large, 128):
        count = cuda.to_device(np.zeros(1, np.int64))
        configured(count)
        assert count[0] == threads
    with pytest.raises(ValueError, match="configuration"):
        size(count)


@pytest.mark.parametrize(
    "configuration", [(0, 32), (1, 0), (1, 1025), (1, (33, 32)), ((1, 65536), 1), (1, 1, 0, 49153)]
)
def test_impossible_launches_raise_as_on_hardware(configuration):
    from numba.cuda.cudadrv.driver import CudaAPIError

    with pytest.raises(CudaAPIError, match="INVALID_VALUE") as error:
        block_sum[configuration](X, X)
    assert error.value.code == 1


def test_arrays_of_the_host_are_copied_there_and_back():
    @cuda.jit
    def doubled(both, scale):
        x, y = both
        y[cuda.laneid] = scale * x[cuda.laneid]
        x[cuda.laneid] = 0

    @cuda.jit
    def alone(x):
        x[cuda.laneid] += 1

    x, y = cuda.to_device(LANES), cuda.device_array(32, np.int64)
    doubled[1, 32]((x, y), 2)
    np.testing.assert_array_equal(y.copy_to_host(), 2 * LANES)
    host = LANES.copy()
    alone[1, 32](host)
    np.testing.assert_array_equal(host, LANES + 1)
    alone[1, 32](cuda.In(host))
    np.testing.assert_array_equal(host, LANES + 1)


@pytest.fixture
def _hasty_threads():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty_threads")
def test_threads_of_the_host_launch_one_after_another():
    results = {}

    def launch(i):
        results[i] = launched(block_sum, X + i, threads=128, out=np.float64)[0]

    threads = [threading.Thread(target=launch, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: X.sum() + 128 * i for i in range(4)}


# ---- the host's side


def test_what_a_host_does_with_a_device():
    device = cuda.select_device(0)
    assert device.id == cuda.get_current_device().id == cuda.gpus[0].id == 0
    assert len(cuda.gpus) == 1
    assert device.compute_capability >= (7, 5)
    assert device.MULTIPROCESSOR_COUNT == 4
    assert cuda.gpus[0].name == device.name
    with cuda.gpus[0]:
        free, total = cuda.current_context().get_memory_info()
    assert type(free) is type(total) is int
    with pytest.raises(IndexError):
        cuda.select_device(1)


def test_what_a_host_does_with_arrays_and_streams():
    stream, event = cuda.stream(), cuda.event(timing=False)
    host = cuda.pinned_array((4, 6), np.float32)
    host[:] = np.arange(24).reshape(4, 6)
    there = cuda.to_device(host, stream=stream)
    event.record(stream)
    back = cuda.pinned_array((2, 6), np.float32)
    there[1:3].copy_to_host(back, stream=stream)
    event.wait(stream)
    stream.synchronize()
    event.synchronize()
    assert cuda.event_elapsed_time(event, event) is not None
    np.testing.assert_array_equal(back, host[1:3])
    other = cuda.device_array((4, 6), np.float32, stream=stream)
    cuda.to_device(host, to=other)
    other[:2].copy_to_device(host[2:], stream=stream)
    np.testing.assert_array_equal(other.copy_to_host(), host[[2, 3, 2, 3]])
    assert cuda.device_array_like(host).shape == cuda.pinned_array_like(host).shape == (4, 6)
    with cuda.pinned(host, back), stream.auto_synchronize():
        pass

    @cuda.jit
    def zero(x):
        x[cuda.laneid // 6, cuda.laneid % 6] = 0

    zero[1, 12, stream](other[1:3])
    np.testing.assert_array_equal(
        other.copy_to_host() == 0, [[False] * 6] + 2 * [[True] * 6] + [[False] * 6]
    )


def test_views_of_other_libraries_arrays():
    there = cuda.to_device(np.arange(6))
    view = cuda.as_cuda_array(there)
    view[0] = 7
    assert there[0] == 7
    assert cuda.is_cuda_array(there)
    assert not cuda.is_cuda_array(np.arange(3))
    with pytest.raises(TypeError):
        cuda.as_cuda_array(np.arange(3))


def test_memory_ends():
    from numba.cuda.cudadrv.driver import CudaAPIError

    def free():
        return cuda.current_context().get_memory_info().free

    with simulator.limited_memory(1000, total=4000):
        assert tuple(cuda.current_context().get_memory_info()) == (1000, 4000)
        first = cuda.device_array(100, np.float32)
        second = cuda.to_device(np.zeros(50, np.float64))
        assert free() == 200
        for allocate in (
            lambda: cuda.device_array(51, np.float32),
            lambda: cuda.to_device(np.zeros(201, np.int8)),
            lambda: cuda.device_array_like(np.zeros(26)),
            lambda: block_sum[1, 1](X, X),
        ):
            with pytest.raises(CudaAPIError, match=r"cuMemAlloc.*OUT_OF_MEMORY") as error:
                allocate()
            assert error.value.code == 2
            assert "[2] " in str(error.value)
        part, other = first[10:20], second[10:20]
        del first, second, error
        gc.collect()
        assert free() == 200, "views keep the memory"
        del part, other
        gc.collect()
        assert free() == 1000

        pinned = cuda.pinned_array(1000, np.uint8)
        assert free() == 1000, "pinned memory is the host's"
        with pytest.raises(CudaAPIError, match=r"cuMemHostAlloc.*OUT_OF_MEMORY"):
            cuda.pinned_array(1, np.uint8)
        with simulator.limited_memory(10, pinned=2000):
            more = cuda.pinned_array(2000, np.uint8)
            assert free() == 10
        del pinned, more
        gc.collect()
        cuda.pinned_array(1000, np.uint8)
    assert free() > 1000


# ---- kernels with a mistake


@functools.cache
def make_scaled(by, offset=0):
    factor = 2 * by  # cuda.syncthreads()

    @cuda.jit(device=True)
    def scaled(x):
        return factor * x + offset

    @cuda.jit(launch_bounds=32)
    def kernel(x, out):
        mine = cuda.shared.array(32, int64)
        mine[cuda.laneid] = scaled(x[cuda.laneid])
        cuda.syncthreads()  # before others read
        out[cuda.laneid] = mine[31 - cuda.laneid]

    return kernel


def test_a_factory_is_mutated_and_run_again():
    right = 6 * LANES[::-1] + 1
    assert outcomes(make_scaled(3, 1), LANES) == {right.tobytes()}
    changed = simulator.mutated(make_scaled, "factor * x", "factor + x")
    np.testing.assert_array_equal(launched(changed(3, offset=1), LANES), LANES[::-1] + 7)
    racing = simulator.without(make_scaled, "cuda.syncthreads()")
    assert outcomes(racing(3, 1), LANES) - {right.tobytes()}
    assert hasattr(racing, "cache_info"), "decorators are applied again"
    assert outcomes(make_scaled(3, 1), LANES) == {right.tobytes()}


def test_a_kernel_is_mutated_with_what_it_closes_over():
    changed = simulator.mutated(make_scaled(3), "cuda.laneid", "0", 3)
    np.testing.assert_array_equal(launched(changed, LANES), np.full(32, 6 * 31))
    twice = simulator.mutated(changed, "31 - ", "30 - ")
    np.testing.assert_array_equal(launched(twice, LANES), np.full(32, 6 * 30))


def test_a_mutation_that_finds_nothing_raises():
    with pytest.raises(ValueError, match=r"make_scaled has 1 'cuda.syncthreads\(\)', and no 1"):
        simulator.without(make_scaled, "cuda.syncthreads()", 1)
    with pytest.raises(ValueError, match=r"has 0 'cuda.syncwarp'"):
        simulator.mutated(make_scaled, "cuda.syncwarp", "pass")


# ---- installing


def test_installing_again_only_seeds():
    before = cuda.jit, cuda.device_array
    simulator.install(5)
    assert (cuda.jit, cuda.device_array) == before


def test_a_numba_without_simulator_is_refused():
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_ENABLE_CUDASIM"}
    done = subprocess.run(
        [sys.executable, "-c", "import simulator; simulator.install()"],
        cwd=Path(__file__).parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "RuntimeError: the simulator needs NUMBA_ENABLE_CUDASIM=1" in done.stderr
