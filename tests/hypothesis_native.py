"""In the place of the compiled part of hypothesis where there is none: in the page's Python.

It steps from float to float, of 16, 32 or 64 bits. `install` puts it where hypothesis imports it.
"""

import math
import struct
import sys
import types

FORMS = {16: ("<e", "<H"), 32: ("<f", "<I"), 64: ("<d", "<Q")}
TINY = {16: 2.0**-14, 32: 2.0**-126, 64: 2.0**-1022}  # the smallest that is not subnormal


def float_to_int(value, width=64):
    """The bits of a float as a whole number."""
    form, whole = FORMS[width]
    return struct.unpack(whole, struct.pack(form, value))[0]


def int_to_float(value, width=64):
    """The float of these bits."""
    form, whole = FORMS[width]
    return struct.unpack(form, struct.pack(whole, value))[0]


def float_of(x, width):
    """The nearest float of this width."""
    return int_to_float(float_to_int(float(x), width), width)


def is_negative(x):
    """Whether it has a minus; zero may."""
    return math.copysign(1.0, x) < 0


def next_up(value, width=64):
    """The next float above; from minus zero it is zero."""
    if math.isnan(value) or value == math.inf:
        return value
    if value == 0 and is_negative(value):
        return 0.0
    return int_to_float(float_to_int(value, width) + (-1 if is_negative(value) else 1), width)


def next_down(value, width=64):
    """The next float below."""
    return -next_up(-value, width)


def next_down_normal(value, width, *, allow_subnormal):
    """The next float below; a subnormal one only if it is allowed."""
    value = next_down(value, width)
    if not allow_subnormal and 0 < abs(value) < TINY[width]:
        return 0.0 if value > 0 else -TINY[width]
    return value


def next_up_normal(value, width, *, allow_subnormal):
    """The next float above; a subnormal one only if it is allowed."""
    return -next_down_normal(-value, width, allow_subnormal=allow_subnormal)


def width_smallest_normals(width):
    """The smallest float above zero that is not subnormal."""
    return TINY[width]


def count_between_floats(x, y, width=64):
    """How many floats there are from x to y; the two zeros are two."""
    if is_negative(x) and not is_negative(y):
        return count_between_floats(x, -0.0, width) + count_between_floats(0.0, y, width)
    return abs(float_to_int(x, width) - float_to_int(y, width)) + 1


def install(version):
    """Let hypothesis of this version import it."""
    names = ("", ".internal", ".internal.floats", ".internal.cathetus")
    made = [types.ModuleType(f"hypothesis._native{name}") for name in names]
    made[0].__version__ = version
    vars(made[2]).update({name: value for name, value in globals().items() if callable(value)})
    made[3].cathetus = None  # only complex numbers need it, and no test draws them
    sys.modules |= {module.__name__: module for module in made}
