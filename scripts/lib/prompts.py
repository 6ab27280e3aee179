"""Speech by flite (voice slt, whose licence lets its output be used freely) and music of our own, as G.711 mu-law at
8,000 samples a second without any header. A prompt is put together from clips in src/media/sentences.rs."""

import array
import math
import os
import subprocess
import sys
import tempfile
import wave

RATE = 8000
WORDS = {
    "thanks": "Thank you for calling.",
    "nobody": "Nobody can take your call right now.",
    "closed": "We are closed right now.",
    "again": "Please try again later.",
    "text": "If this is a mobile phone, look for a text from us, and tell us there what you need.",
    "barred": "This number cannot be called from here.",
    "unreachable": "This number cannot be reached.",
    "lines-busy": "All lines are busy. Please try again in a moment.",
    "emergency-no-line": "No line works right now. We keep on dialing. If you can, use another phone.",
}
# Root mean square of speech and of music, against full scale.
SPEECH = 10 ** (-19 / 20)
MUSIC = 10 ** (-25 / 20)


def spoken(text):
    """16 kHz samples as floats."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "said.wav")
        subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", path], check=True)
        with wave.open(path) as said:
            assert (said.getframerate(), said.getnchannels(), said.getsampwidth()) == (16000, 1, 2)
            samples = array.array("h", said.readframes(said.getnframes()))
    return [s / 32768 for s in samples]


def halved(samples):
    """Every other sample behind a low pass of 3.6 kHz (Blackman-windowed sinc)."""
    reach, cutoff = 48, 3600 / 16000
    taps = []
    for n in range(-reach, reach + 1):
        ideal = 2 * cutoff if n == 0 else math.sin(2 * math.pi * cutoff * n) / (math.pi * n)
        window = 0.42 + 0.5 * math.cos(math.pi * n / reach) + 0.08 * math.cos(2 * math.pi * n / reach)
        taps.append(ideal * window)
    padded = [0.0] * reach + samples + [0.0] * reach
    return [sum(t * padded[at + n] for n, t in enumerate(taps)) for at in range(0, len(samples), 2)]


def without_rumble(samples):
    """Telephones carry nothing below 200 Hz: a high pass of first order, twice."""
    for _ in range(2):
        factor, last, out, made = math.exp(-2 * math.pi * 150 / RATE), 0.0, 0.0, []
        for sample in samples:
            out = factor * (out + sample - last)
            last = sample
            made.append(out)
        samples = made
    return samples


def trimmed(samples):
    """From the first sound to the last, with 30 ms around."""
    loud = [at for at, s in enumerate(samples) if abs(s) > 0.01]
    around = RATE * 30 // 1000
    return samples[max(loud[0] - around, 0) : loud[-1] + around]


def levelled(samples, wanted):
    """Brought to a level; peaks above half of full scale are bent, not cut."""
    active = [s for s in samples if abs(s) > 0.005]
    gain = wanted / math.sqrt(sum(s * s for s in active) / len(active))
    bend = lambda s: s if abs(s) < 0.5 else math.copysign(0.5 + 0.45 * math.tanh((abs(s) - 0.5) / 0.45), s)
    return [bend(s * gain) for s in samples]


def music():
    """Ten seconds that end where they begin: four chords, their notes plucked one after another, softly."""
    length = 10 * RATE
    loop = [0.0] * length
    # Semitones from A4: C, A minor, F, G, each as five notes.
    chords = [[-21, -9, -5, -2, 3], [-24, -12, -9, -5, 0], [-16, -4, 0, 3, 8], [-14, -10, -7, -2, 5]]
    for bar, chord in enumerate(chords):
        for beat, degree in enumerate([0, 2, 3, 4, 3, 2, 1, 3]):
            start = int((bar + beat / 8) * length / 4)
            pitch = 440 * 2 ** (chord[degree] / 12)
            for n in range(3 * RATE):
                time = n / RATE
                swell = min(time / 0.04, 1) * math.exp(-1.9 * time) * (0.8 if beat else 1)
                tone = sum(math.sin(2 * math.pi * pitch * k * time) / k**2.2 for k in (1, 2, 3))
                # The tail of the last bar sounds into the first: the loop has no seam.
                loop[(start + n) % length] += swell * tone
    return loop


def mu_law(sample):
    """G.711 mu-law of one sample."""
    value = max(-32635, min(32635, round(sample * 32768)))
    sign = 0x80 if value < 0 else 0
    value = abs(value) + 0x84
    exponent = max(value.bit_length() - 8, 0)
    return ~(sign | exponent << 4 | value >> (exponent + 3) & 0x0F) & 0xFF


def main(folder):
    os.makedirs(folder, exist_ok=True)
    clips = {name: levelled(trimmed(without_rumble(halved(spoken(text)))), SPEECH) for name, text in WORDS.items()}
    clips["hold-music"] = levelled(music(), MUSIC)
    total = 0
    for name, samples in clips.items():
        data = bytes(mu_law(s) for s in samples)
        total += len(data)
        with open(os.path.join(folder, f"{name}.ulaw"), "wb") as file:
            file.write(data)
        print(f"{name}: {len(data) / RATE:.1f} s")
    print(f"{total} bytes")


main(sys.argv[1])
