"""What the endpoint adds to llama.cpp's own server, per request.

Both are asked in turn in one run, over connections that stay open, with a short prompt and one
token of answer: `python benchmarks/chat_overhead.py`. The endpoint runs as it does in use, in a
process of its own with its own llama.cpp; beside it stands an equal llama.cpp that is asked
directly. Whichever has nothing to do sleeps, so that both see the same machine.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2

from needle_assets.endpoint.config import BaseModelConfig, EndpointConfig
from needle_assets.endpoint.embedded import embedded_endpoint
from needle_assets.endpoint.serving.llamacpp import serve_llamacpp
from needle_assets.settings import bundled_model

BOUND_MS = 5.0
"""What the endpoint may add at the median."""

WINDOW = 512
WARM_UPS = 10

# What the endpoint itself sends to its llama.cpp, so that both compute the same.
BODY: dict[str, Any] = {
    "model": "small",
    "messages": [{"role": "user", "content": "Name a colour."}],
    "max_tokens": 1,
    "temperature": 0,
    "top_p": 1.0,
    "seed": 1,
}


def timed_ms(client: httpx2.Client) -> float:
    """One request, to the last byte of its answer."""
    start = time.perf_counter()
    response = client.post("chat/completions", json=BODY)
    took = time.perf_counter() - start
    response.raise_for_status()
    assert response.json()["usage"]["completion_tokens"] == 1
    return 1000 * took


def connected(base_url: str, key: str) -> httpx2.Client:
    """A client whose connection stays open."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx2.Client(base_url=base_url, headers=headers, timeout=120, trust_env=False)


def measure(model: Path, requests: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each request: direct, and through the endpoint."""
    direct: list[float] = []
    through: list[float] = []
    key = "key-of-the-benchmark"
    with tempfile.TemporaryDirectory() as home:
        config = EndpointConfig.model_validate(
            {
                "home": home,
                "auth": "off",
                "models": {"small": BaseModelConfig(gguf=model)},
                "serving": {"window": WINDOW},
            }
        )
        with (
            serve_llamacpp(model, model_id="small", context_window=WINDOW, api_key=key) as served,
            embedded_endpoint(config, linger_s=1.0) as endpoint,
            connected(served.base_url, key) as beside,
            connected(endpoint.base_url, endpoint.api_key) as client,
        ):
            for number in range(WARM_UPS + requests):
                # Whoever comes second may find caches warm: take turns in that too.
                pairs = [(direct, beside), (through, client)]
                for times, asked in pairs if number % 2 else reversed(pairs):
                    times.append(timed_ms(asked))
    return direct[WARM_UPS:], through[WARM_UPS:]


def main() -> int:
    """Measure, print, and fail above the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=300)
    requests = parser.parse_args().requests
    model = bundled_model()
    if model is None:
        print("the bundled model is not installed: it comes with the `local` extra")
        return 2
    direct, through = measure(model, requests)
    medians = statistics.median(direct), statistics.median(through)
    difference = medians[1] - medians[0]
    print(f"{requests} requests each, in turn; milliseconds")
    for name, times in (("llama.cpp", direct), ("endpoint", through)):
        tenths = statistics.quantiles(times, n=10)
        median = statistics.median(times)
        print(f"{name:10} median {median:7.2f}   10 % {tenths[0]:7.2f}   90 % {tenths[8]:7.2f}")
    print(f"difference of the medians {difference:.2f} (bound {BOUND_MS:g})")
    # Neighbours in time share whatever else the machine does.
    pairs = [after - before for before, after in zip(direct, through, strict=True)]
    print(f"median of the differences {statistics.median(pairs):.2f}")
    print(f"ratio of the medians      {medians[1] / medians[0]:.3f}")
    return 0 if difference < BOUND_MS else 1


if __name__ == "__main__":
    sys.exit(main())
