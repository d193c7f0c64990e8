"""The manifests for Kubernetes agree with each other and with the configuration that they carry."""

from pathlib import Path
from typing import Any

import yaml

from helix_ray.config.loading import parse_config

FOLDER = Path(__file__).parents[2] / "deploy/kuberay"


def manifests() -> dict[str, Any]:
    found = {document["kind"]: document for path in FOLDER.glob("*.yaml") for document in yaml.safe_load_all(path.read_text())}
    assert found.keys() == {"RayJob", "ConfigMap", "Secret", "NetworkPolicy", "PodMonitor"}
    return found


def test_a_retried_job_goes_on_with_its_run_and_has_time_to_drain() -> None:
    documents = manifests()
    config = parse_config(yaml.safe_load(documents["ConfigMap"]["data"]["run.yaml"]), "run.yaml")
    job = documents["RayJob"]["spec"]
    assert (config.ray.address, config.sink.database) == ("auto", "external")
    assert config.run.id is not None
    assert job["backoffLimit"] > 0
    grace_s = float(yaml.safe_load(job["runtimeEnvYAML"])["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"])
    assert grace_s > config.run.drain_timeout_s + 30
    assert job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["terminationGracePeriodSeconds"] > grace_s


def test_secrets_are_files_of_the_head_alone() -> None:
    documents = manifests()
    spec = documents["RayJob"]["spec"]["rayClusterSpec"]
    assert spec["authOptions"] == {"mode": "token"}
    head, (worker,) = spec["headGroupSpec"]["template"]["spec"], [group["template"]["spec"] for group in spec["workerGroupSpecs"]]
    files = {item["name"]: item["value"] for item in head["containers"][0]["env"] if item["name"].endswith("_FILE")}
    assert files.keys() == {"GROQ_API_KEY_FILE", "DATABASE_URL_FILE"}
    mounted = {item["name"]: item["mountPath"] for item in head["containers"][0]["volumeMounts"]}
    assert {str(Path(path).parent) for path in files.values()} == {mounted["secrets"]}
    assert {Path(path).name for path in files.values()} == documents["Secret"]["stringData"].keys()
    assert not [volume for volume in worker["volumes"] if "secret" in volume]
    assert "env" not in worker["containers"][0]


def test_policy_and_monitor_select_the_pods_of_the_job() -> None:
    documents = manifests()
    spec = documents["RayJob"]["spec"]["rayClusterSpec"]
    pods = [spec["headGroupSpec"]["template"], *(group["template"] for group in spec["workerGroupSpecs"])]
    for selector in (documents["NetworkPolicy"]["spec"]["podSelector"], documents["PodMonitor"]["spec"]["selector"]):
        assert all(selector["matchLabels"].items() <= pod["metadata"]["labels"].items() for pod in pods)
    (endpoint,) = documents["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert all(endpoint["port"] in [port["name"] for port in pod["spec"]["containers"][0]["ports"]] for pod in pods)
