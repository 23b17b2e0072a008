"""Single instructions that numba does not offer, and what they do in the simulator.

On hardware these are intrinsics on raw addresses: no wrap-around test of the index, 16 bytes at a
time where it says so, copies that go on while the threads compute.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import config

SIMULATED = bool(config.ENABLE_CUDASIM)

if SIMULATED:

    def load(array: Any, index: Any) -> Any:
        """One number."""
        return array[index]

    def store(array: Any, index: Any, number: Any) -> None:
        """Set one number."""
        array[index] = number

    def load4(array: Any, index: Any) -> Any:
        """Four numbers, the first at a multiple of 4."""
        return array[index], array[index + 1], array[index + 2], array[index + 3]

    def store4(array: Any, index: Any, a: Any, b: Any, c: Any, d: Any) -> None:
        """Set four numbers, the first at a multiple of 4."""
        array[index], array[index + 1], array[index + 2], array[index + 3] = a, b, c, d

    def reciprocal(number: Any) -> Any:
        """1 / number to about one unit in the last place, single precision."""
        return np.float32(1.0) / number

    def rounded(number: Any) -> Any:
        """A product, rounded as the processor does before it is added to anything."""
        return number

    class Address:
        """Of a byte in an array of single-precision numbers."""

        def __init__(self, array: Any, byte: int) -> None:
            self.array, self.byte = array, byte

        def __add__(self, distance: Any) -> Address:
            return Address(self.array, self.byte + int(distance))

    def global_address(array: Any, index: Any) -> Any:
        """Where ``array[index]`` is in the card's memory."""
        return Address(array, 4 * int(index))

    def shared_address(array: Any, index: Any) -> Any:
        """Where ``array[index]`` is in shared memory."""
        return Address(array, 4 * int(index))

    def copy16(target: Any, source: Any) -> None:
        """Copy 16 bytes to shared memory and keep the thread waiting."""
        for number in range(4):
            target.array[target.byte // 4 + number] = source.array[source.byte // 4 + number]

    def send16(target: Any, source: Any) -> None:
        """Begin to copy 16 bytes to shared memory."""
        copy16(target, source)

    def arrived() -> None:
        """Wait until what this thread sent is there."""

else:
    from llvmlite import ir
    from numba.cuda import types
    from numba.cuda.extending import intrinsic
    from numba.cuda.typing import signature

    INDEX = ir.IntType(64)
    WORD = ir.IntType(32)
    SINGLE = ir.FloatType()
    DOUBLE = ir.DoubleType()
    QUAD = ir.VectorType(SINGLE, 4)

    def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
        data = context.make_array(kind)(context, builder, value=array).data
        return builder.gep(data, [index])

    def _place4(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
        place = _place(context, builder, kind, array, index)
        return builder.bitcast(place, QUAD.as_pointer())

    def _assembly(result: Any, arguments: Any, text: str, constraints: str, effect: bool) -> Any:
        return ir.InlineAsm(ir.FunctionType(result, arguments), text, constraints, effect)

    @intrinsic
    def load(typing: Any, array: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.load(_place(context, builder, sig.args[0], *args))

        return signature(array.dtype, array, index), code

    @intrinsic
    def store(typing: Any, array: Any, index: Any, number: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            builder.store(args[2], _place(context, builder, sig.args[0], *args[:2]))
            return context.get_dummy_value()

        return signature(types.void, array, index, array.dtype), code

    @intrinsic
    def load4(typing: Any, array: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            quad = builder.load(_place4(context, builder, sig.args[0], *args), align=16)
            parts = [builder.extract_element(quad, WORD(number)) for number in range(4)]
            return context.make_tuple(builder, sig.return_type, parts)

        return signature(types.UniTuple(types.float32, 4), array, index), code

    @intrinsic
    def store4(typing: Any, array: Any, index: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            quad = ir.Constant(QUAD, ir.Undefined)
            for number in range(4):
                quad = builder.insert_element(quad, args[2 + number], WORD(number))
            place = _place4(context, builder, sig.args[0], *args[:2])
            builder.store(quad, place, align=16)
            return context.get_dummy_value()

        return signature(types.void, array, index, *[types.float32] * 4), code

    @intrinsic
    def reciprocal(typing: Any, number: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            text = "rcp.approx.ftz.f32 $0, $1;"
            return builder.call(_assembly(SINGLE, [SINGLE], text, "=f,f", False), args)

        return signature(types.float32, types.float32), code

    @intrinsic
    def rounded(typing: Any, number: Any) -> Any:
        # Compilers fuse a product and a sum into one rounding; not across what they cannot see.
        def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            text = "mul.rn.f64 $0, $1, 0d3FF0000000000000;"
            return builder.call(_assembly(DOUBLE, [DOUBLE], text, "=d,d", True), args)

        return signature(types.float64, types.float64), code

    @intrinsic
    def global_address(typing: Any, array: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.ptrtoint(_place(context, builder, sig.args[0], *args), INDEX)

        return signature(types.int64, array, index), code

    @intrinsic
    def shared_address(typing: Any, array: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            place = builder.ptrtoint(_place(context, builder, sig.args[0], *args), INDEX)
            text = "{ .reg .u64 t; cvta.to.shared.u64 t, $1; cvt.u32.u64 $0, t; }"
            return builder.call(_assembly(WORD, [INDEX], text, "=r,l", False), [place])

        return signature(types.uint32, array, index), code

    def _copy(text: str) -> Any:
        @intrinsic
        def copy(typing: Any, target: Any, source: Any) -> Any:
            def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
                arguments = [WORD, INDEX]
                void = ir.VoidType()
                builder.call(_assembly(void, arguments, text, "r,l,~{memory}", True), args)
                return context.get_dummy_value()

            return signature(types.void, types.uint32, types.int64), code

        return copy

    copy16 = _copy(
        "{ .reg .b32 a, b, c, d; ld.global.v4.b32 {a, b, c, d}, [$1];"
        " st.shared.v4.b32 [$0], {a, b, c, d}; }"
    )
    send16 = _copy("cp.async.cg.shared.global [$0], [$1], 16;")

    @intrinsic
    def arrived(typing: Any) -> Any:
        def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            text = "cp.async.wait_all;"
            builder.call(_assembly(ir.VoidType(), [], text, "~{memory}", True), [])
            return context.get_dummy_value()

        return signature(types.void), code
