"""The fused kernel: antialiased resize of a ragged batch, colour matrix and turn in one launch.

Note on the shape. A program makes one tile of one item's result, `BLOCK_ROWS` x `BLOCK_COLUMNS`,
channel by channel: it walks over the source samples that the tile's filters reach, in pieces of
`STEP_ROWS` x `STEP_COLUMNS`. Rows first, then columns, both as products with a band of the weight
matrix, which is what tensor cores are for; the band is read from the compact table of `Taps`. So a
full-size RGB picture never exists. A source sample is read again by the tiles beside, whose filters
overlap, and interleaved samples once for each channel: those reads are meant for the cache. All
differences between items (size, pitch, box, turn, interleaved or planar samples) are numbers in
tables: addresses and strides for each channel, so that RGB, NV12, P010 and planar YUV are one
kernel.
"""

import triton
import triton.language as tl

# Columns of the table of items, int64: what is said of the result, then of each channel.
ITEM_FIELDS = tl.constexpr(6)
CHANNEL_FIELDS = tl.constexpr(11)
MATRIX_FIELDS = tl.constexpr(12)
TILE_FIELDS = tl.constexpr(3)


@triton.jit
def resample_tiles(
    tiles,
    items,
    matrices,
    linear,
    CHANNELS: tl.constexpr,
    HAS_ALPHA: tl.constexpr,
    HAS_MATRIX: tl.constexpr,
    IS_WIDE: tl.constexpr,
    IS_LINEAR: tl.constexpr,
    IS_FLOAT: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_COLUMNS: tl.constexpr,
    STEP_ROWS: tl.constexpr,
    STEP_COLUMNS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Makes tile `tiles[program]` = (item, first row, first column) of the stored result.

    `items` is int64 [N, ITEM_FIELDS + CHANNELS * CHANNEL_FIELDS], `matrices` float32 [N, 12]: three
    rows of a matrix from channels to R, G, B, then the offsets. With HAS_ALPHA the last channel is
    straight alpha. With IS_LINEAR colour is light, by the 256 values of `linear`, while it is
    summed. IS_WIDE: samples are 16 bits. IS_FLOAT: the result is float32, not rounded.
    """
    tile = tiles + tl.program_id(0).to(tl.int64) * TILE_FIELDS
    item = tl.load(tile).to(tl.int64)
    top = tl.load(tile + 1)
    left = tl.load(tile + 2)
    facts = items + item * (ITEM_FIELDS + CHANNELS * CHANNEL_FIELDS)
    out = tl.load(facts)
    row_stride = tl.load(facts + 1)
    column_stride = tl.load(facts + 2)
    channel_stride = tl.load(facts + 3)
    height = tl.load(facts + 4).to(tl.int32)
    width = tl.load(facts + 5).to(tl.int32)
    rows = top + tl.arange(0, BLOCK_ROWS)
    columns = left + tl.arange(0, BLOCK_COLUMNS)
    inside = (rows < height)[:, None] & (columns < width)[None, :]
    rows = tl.minimum(rows, height - 1)
    columns = tl.minimum(columns, width - 1)
    place = rows[:, None].to(tl.int64) * row_stride + columns[None, :].to(tl.int64) * column_stride

    alpha = _channel(
        facts, CHANNELS - 1, CHANNELS - 1, rows, columns, linear, False, IS_WIDE, False,
        BLOCK_ROWS, BLOCK_COLUMNS, STEP_ROWS, STEP_COLUMNS, PRECISION,
    ) if HAS_ALPHA else 255.0  # fmt: skip
    COLORS: tl.constexpr = CHANNELS - 1 if HAS_ALPHA else CHANNELS
    first = _color(
        facts, 0, CHANNELS, alpha, rows, columns, linear, HAS_ALPHA, IS_WIDE, IS_LINEAR,
        BLOCK_ROWS, BLOCK_COLUMNS, STEP_ROWS, STEP_COLUMNS, PRECISION,
    )  # fmt: skip
    if COLORS == 3:
        second = _color(
            facts, 1, CHANNELS, alpha, rows, columns, linear, HAS_ALPHA, IS_WIDE, IS_LINEAR,
            BLOCK_ROWS, BLOCK_COLUMNS, STEP_ROWS, STEP_COLUMNS, PRECISION,
        )  # fmt: skip
        third = _color(
            facts, 2, CHANNELS, alpha, rows, columns, linear, HAS_ALPHA, IS_WIDE, IS_LINEAR,
            BLOCK_ROWS, BLOCK_COLUMNS, STEP_ROWS, STEP_COLUMNS, PRECISION,
        )  # fmt: skip
        if HAS_MATRIX:
            matrix = matrices + item * MATRIX_FIELDS
            red = _mixed(matrix, 0, first, second, third)
            green = _mixed(matrix, 1, first, second, third)
            blue = _mixed(matrix, 2, first, second, third)
            first, second, third = red, green, blue
        _store(out, place + channel_stride, second, inside, IS_FLOAT)
        _store(out, place + channel_stride * 2, third, inside, IS_FLOAT)
    _store(out, place, first, inside, IS_FLOAT)
    if HAS_ALPHA:
        _store(out, place + channel_stride * (CHANNELS - 1), alpha, inside, IS_FLOAT)


@triton.jit
def _mixed(matrix, row: tl.constexpr, first, second, third):
    """One row of the matrix times the channels, and its offset."""
    value = tl.load(matrix + row * 3) * first + tl.load(matrix + row * 3 + 1) * second
    return value + tl.load(matrix + row * 3 + 2) * third + tl.load(matrix + 9 + row)


@triton.jit
def _store(out, place, values, inside, IS_FLOAT: tl.constexpr):
    if IS_FLOAT:
        tl.store(out.to(tl.pointer_type(tl.float32)) + place, values, mask=inside)
    else:
        rounded = tl.minimum(tl.maximum(values + 0.5, 0.0), 255.0).to(tl.int32).to(tl.uint8)
        tl.store(out.to(tl.pointer_type(tl.uint8)) + place, rounded, mask=inside)


@triton.jit
def _color(
    facts,
    channel: tl.constexpr,
    CHANNELS: tl.constexpr,
    alpha,
    rows,
    columns,
    linear,
    HAS_ALPHA: tl.constexpr,
    IS_WIDE: tl.constexpr,
    IS_LINEAR: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_COLUMNS: tl.constexpr,
    STEP_ROWS: tl.constexpr,
    STEP_COLUMNS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """A colour channel of the result, straight again where there is alpha."""
    value = _channel(
        facts, channel, CHANNELS - 1, rows, columns, linear, HAS_ALPHA, IS_WIDE, IS_LINEAR,
        BLOCK_ROWS, BLOCK_COLUMNS, STEP_ROWS, STEP_COLUMNS, PRECISION,
    )  # fmt: skip
    if HAS_ALPHA:
        value = tl.where(alpha >= 0.5, value * 255.0 / tl.maximum(alpha, 0.5), 0.0)
    if IS_LINEAR:
        # Back by IEC 61966-2-1, 5.2; light is 0 to 1 here.
        light = tl.minimum(tl.maximum(value, 0.0), 1.0)
        power = tl.exp2(tl.log2(tl.maximum(light, 1e-9)) / 2.4)
        value = tl.where(light <= 0.0031308, 12.92 * light, 1.055 * power - 0.055) * 255.0
    return value


@triton.jit
def _channel(
    facts,
    channel: tl.constexpr,
    last_channel: tl.constexpr,
    rows,
    columns,
    linear,
    TIMES_ALPHA: tl.constexpr,
    IS_WIDE: tl.constexpr,
    IS_LINEAR: tl.constexpr,
    BLOCK_ROWS: tl.constexpr,
    BLOCK_COLUMNS: tl.constexpr,
    STEP_ROWS: tl.constexpr,
    STEP_COLUMNS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """The weighted sums of one channel for a tile, float32 [BLOCK_ROWS, BLOCK_COLUMNS].

    `rows` and `columns` are those of the result, ascending, the last one repeated at the end.
    """
    about = facts + ITEM_FIELDS + channel * CHANNEL_FIELDS
    length = tl.load(about + 3).to(tl.int32)
    breadth = tl.load(about + 4).to(tl.int32)
    row_first = tl.load(tl.load(about + 5).to(tl.pointer_type(tl.int32)) + rows)
    row_weights = tl.load(about + 6).to(tl.pointer_type(tl.float32))
    row_taps = tl.load(about + 7).to(tl.int32)
    column_first = tl.load(tl.load(about + 8).to(tl.pointer_type(tl.int32)) + columns)
    column_weights = tl.load(about + 9).to(tl.pointer_type(tl.float32))
    column_taps = tl.load(about + 10).to(tl.int32)
    y_start = tl.min(row_first)
    y_stop = tl.minimum(tl.max(row_first) + row_taps, length)
    x = tl.min(column_first)
    x_stop = tl.minimum(tl.max(column_first) + column_taps, breadth)
    result = tl.zeros([BLOCK_ROWS, BLOCK_COLUMNS], dtype=tl.float32)
    while x < x_stop:
        xs = x + tl.arange(0, STEP_COLUMNS)
        across = tl.minimum(xs, breadth - 1)
        down = tl.zeros([BLOCK_ROWS, STEP_COLUMNS], dtype=tl.float32)
        y = y_start
        while y < y_stop:
            ys = y + tl.arange(0, STEP_ROWS)
            samples = _samples(about, tl.minimum(ys, length - 1), across, IS_WIDE)
            if IS_LINEAR:
                samples = tl.load(linear + samples.to(tl.int32))
            if TIMES_ALPHA:
                alpha = facts + ITEM_FIELDS + last_channel * CHANNEL_FIELDS
                cover = _samples(alpha, tl.minimum(ys, length - 1), across, IS_WIDE)
                samples = samples * cover / 255.0
            tap = ys[None, :] - row_first[:, None]
            weights = tl.load(
                row_weights + rows[:, None] * row_taps + tap,
                mask=(tap >= 0) & (tap < row_taps),
                other=0.0,
            )
            down = tl.dot(weights, samples, down, input_precision=PRECISION)
            y += STEP_ROWS
        tap = xs[:, None] - column_first[None, :]
        weights = tl.load(
            column_weights + columns[None, :] * column_taps + tap,
            mask=(tap >= 0) & (tap < column_taps),
            other=0.0,
        )
        result = tl.dot(down, weights, result, input_precision=PRECISION)
        x += STEP_COLUMNS
    return result


@triton.jit
def _samples(about, ys, xs, IS_WIDE: tl.constexpr):
    """Source samples as float32 [rows, columns]; strides are counted in samples."""
    start = tl.load(about)
    place = ys[:, None].to(tl.int64) * tl.load(about + 1)
    place += xs[None, :].to(tl.int64) * tl.load(about + 2)
    if IS_WIDE:
        return tl.load(start.to(tl.pointer_type(tl.uint16)) + place).to(tl.float32)
    return tl.load(start.to(tl.pointer_type(tl.uint8)) + place).to(tl.float32)
