"""What a recording sounds like, in blocks of 100 ms."""

import math
import struct
import wave

BLOCK_S = 0.1


def blocks(path):
    """The first channel of a 16-bit WAV file, block by block, with its rate."""
    with wave.open(str(path)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        raw = file.readframes(file.getnframes())
    samples = struct.unpack(f"<{len(raw) // 2}h", raw[: len(raw) // 2 * 2])[::channels]
    size = int(rate * BLOCK_S)
    return rate, [samples[at : at + size] for at in range(0, len(samples) - size + 1, size)]


def level(block, rate, frequency):
    """Amplitude of one frequency (Goertzel), as a part of full scale."""
    k = 2 * math.cos(2 * math.pi * frequency / rate)
    one = two = 0.0
    for sample in block:
        one, two = sample + k * one - two, one
    power = one * one + two * two - k * one * two
    return math.sqrt(max(power, 0.0)) / (len(block) / 2) / 32768


def heard(path, frequency, least=0.05):
    """For each block whether that frequency is in it."""
    rate, all_blocks = blocks(path)
    return [level(block, rate, frequency) >= least for block in all_blocks]


def spells(heard_blocks, least=3):
    """Runs of sound and silence, shorter ones than `least` blocks left out: `[(True, 12), (False, 20)]`."""
    runs = []
    for there in heard_blocks:
        if runs and runs[-1][0] == there:
            runs[-1][1] += 1
        else:
            runs.append([there, 1])
    merged = []
    for there, length in runs:
        if length < least:
            continue
        if merged and merged[-1][0] == there:
            merged[-1][1] += length
        else:
            merged.append([there, length])
    return [tuple(run) for run in merged]
