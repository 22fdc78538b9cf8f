"""configs/prometheus.yml, an example of what Prometheus scrapes of a farm."""

import re

import yaml

from tests.configs.scene import CONFIGS


def test_it_has_keys_that_prometheus_knows() -> None:
    """As Prometheus's documentation lists them."""
    read = yaml.safe_load((CONFIGS / "prometheus.yml").read_text("utf-8"))
    assert set(read) == {"global", "scrape_configs"}
    assert set(read["global"]) <= {"scrape_interval", "scrape_timeout", "evaluation_interval"}
    jobs = read["scrape_configs"]
    assert len({job["job_name"] for job in jobs}) == len(jobs)
    for job in jobs:
        assert set(job) <= {"job_name", "static_configs", "http_sd_configs"}
        for group in job.get("static_configs", ()):
            assert set(group) == {"targets"}
            assert all(re.fullmatch(r"[\w.-]+:\d+", target) for target in group["targets"])
        for source in job.get("http_sd_configs", ()):
            assert set(source) == {"url", "refresh_interval"}
            assert re.fullmatch(r"http://[\w.-]+:\d+/workers", source["url"])
