"""The files in deploy/ and the commands of docs/cluster.md: they parse by the programs that will
read them, agree with each other and with the package, and hold no secret."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from packaging.requirements import Requirement
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr as as_kuberay_reads,
)
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import cli as ray_cli

from lcma.db.postgres import WAIT_SECONDS
from lcma.harness import data
from lcma.harness.cli.main import app
from lcma.harness.version import read_code_version
from lcma.sweeps import spec as specs
from lcma.sweeps import strict_yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "cluster.md").read_text()
SCRIPTS = [
    DEPLOY / "slurm-array.sbatch",
    DEPLOY / "slurm.sbatch",
    DEPLOY / "submit.sh",
    DEPLOY / "kuberay" / "launch.sh",
]
TEXTS = {p: p.read_text() for p in sorted(DEPLOY.rglob("*")) if p.is_file()}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M))


def manifests() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((DEPLOY / "kuberay").glob("*.yaml")):
        for text in path.read_text().split("\n---\n"):
            yield path, strict_yaml.parse(text, path.name)


MANIFESTS = {f"{m['kind']}/{m['metadata']['name']}": m for _, m in manifests()}
CLUSTER = strict_yaml.read(DEPLOY / "ray-cluster.yaml")
RAYJOB = MANIFESTS["RayJob/lcma-sweep"]["spec"]
DATABASE = MANIFESTS["StatefulSet/lcma-postgres"]["spec"]
POOLER = MANIFESTS["Deployment/lcma-pgbouncer"]["spec"]


def containers() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """The containers of all manifests by name, each with its pod."""
    groups = [RAYJOB["rayClusterSpec"]["headGroupSpec"]]
    groups += RAYJOB["rayClusterSpec"]["workerGroupSpecs"]
    pods = [g["template"]["spec"] for g in groups]
    pods.append(MANIFESTS["Job/lcma-data"]["spec"]["template"]["spec"])
    pods.append(MANIFESTS["Pod/lcma-shell"]["spec"])
    pods += [DATABASE["template"]["spec"], POOLER["template"]["spec"]]
    return {c["name"]: (c, pod) for pod in pods for c in pod["containers"]}


def joined(text: str) -> str:
    """Shell text with its continued lines in one."""
    return re.sub(r"\\\n\s*", "", text)


STAND_INS = {
    '"$@"': "table2 --seeds 6",
    '"$host:$port"': "HOST:6379",
    '"$SLURM_CPUS_PER_TASK"': "16",
    "$RAY_HEAD_IP": "HEAD",
}


def commands(program: str) -> dict[str, list[str]]:
    """Command lines of a program, as words: of scripts and manifests, and of the page's blocks and
    between its backticks."""
    shell = [joined(TEXTS[path]) for path in SCRIPTS]
    shell += [line for key in CLUSTER if key.endswith("_commands") for line in CLUSTER[key]]
    shell.append(shlex.join(containers()["prepare"][0]["command"]))
    shell += [joined(block) for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S)]
    shell += re.findall(r"(?<!`)`([^`\n]+)`(?!`)", PAGE)
    text = re.sub(r"^\s*#.*", "", "\n".join(shell), flags=re.M)
    for name, value in STAND_INS.items():
        text = text.replace(name, value)
    begins = r"(?:^\s*|; |-- |until |exec |&& )"
    plain = re.findall(rf"{begins}({program} [a-z][^\n;&#|]*?)(?= *(?:2>|[\n;&#|]|$))", text, re.M)
    quoted = re.findall(rf"'({program} [a-z][^\n']*)'", text)
    return {line: shlex.split(line) for line in plain + quoted}


LCMA, RAY = commands("lcma"), commands("ray")


def test_command_lines_are_found() -> None:
    assert "lcma launch table2 --seeds 6 --ray HOST:6379" in LCMA
    assert "lcma launch table2 --seeds 6 --ray auto --no-pictures" in LCMA
    assert "lcma data prepare cifar10 --download" in LCMA
    assert "ray start --address=HEAD:6379 --disable-usage-stats" in RAY
    assert 'ray job submit --working-dir . --runtime-env-json "$variables"' in " ".join(RAY)
    assert len(LCMA) >= 9
    assert len(RAY) >= 15


@pytest.mark.parametrize("line", LCMA)
def test_lcma_knows_its_command_lines(line: str) -> None:
    parse(typer.main.get_command(app), LCMA[line])


@pytest.mark.parametrize("line", RAY)
def test_ray_knows_its_command_lines(line: str) -> None:
    parse(ray_cli, RAY[line])


def parse(command: Any, words: list[str]) -> None:
    """Let the program's own parser read a command line; nothing is run. One that is mentioned by
    its verb alone has to exist."""
    context, name, rest = None, words[0], words[1:]
    while hasattr(command, "get_command"):
        context = command.context_class(command, info_name=name, parent=context)
        found = command.get_command(context, rest[0])
        assert found is not None, f"{name} has no {rest[0]}"
        command, name, rest = found, rest[0], rest[1:]
    if rest:
        command.make_context(name, list(rest), parent=context)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_scripts_are_bash(path: Path) -> None:
    subprocess.run(["bash", "-n", path], check=True)


@pytest.mark.parametrize(
    ("name", "more"),
    [("slurm-array.sbatch", {"array", "ntasks"}), ("slurm.sbatch", {"no-kill", "ntasks-per-node"})],
)
def test_the_slurm_scripts_ask_for_what_the_page_says(name: str, more: set[str]) -> None:
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)$", TEXTS[DEPLOY / name], re.M))
    assert asked["signal"].startswith("B:USR1@")
    assert {"requeue", "open-mode", "cpus-per-task"} | more <= set(asked)
    assert f"--signal={asked['signal']}" in PAGE
    code = re.sub(r"#.*", "", TEXTS[DEPLOY / "slurm.sbatch"])
    assert "ray stop" not in code


def test_ray_takes_the_cluster_for_its_launcher() -> None:
    prepared = prepare_config(CLUSTER)
    validate_config(prepared)
    nodes = prepared["available_node_types"]
    head, gpu = nodes[CLUSTER["head_node_type"]], nodes["gpu"]
    assert not any(head["resources"].values())
    assert "InstanceMarketOptions" not in head["node_config"]
    assert gpu["resources"]["GPU"] >= 1
    assert gpu["min_workers"] == 0
    assert gpu["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    with pytest.raises(Exception, match="max_worker"):
        validate_config(prepared | {"max_worker": 1})


def test_every_machine_of_the_launcher_has_token_password_and_shared_folders() -> None:
    home = f"/home/{CLUSTER['auth']['ssh_user']}"
    assert CLUSTER["file_mounts"][f"{home}/.ray/auth_token"] == "~/.ray/auth_token"
    assert CLUSTER["file_mounts"][f"{home}/.pgpass"] == "~/.pgpass"
    assert (ROOT / CLUSTER["file_mounts"][f"{home}/lcma/constraints.txt"]).is_file()
    shells = " ".join(CLUSTER["initialization_commands"])
    assert "RAY_AUTH_MODE=token" in shells
    mounted = " ".join(CLUSTER["setup_commands"])
    for folder in re.findall(r"LCMA_\w+=(/shared/\w+)", shells):
        assert folder in mounted
    (mount,) = [c for c in CLUSTER["setup_commands"] if "mount -t" in c]
    assert re.search(r" \S+:/ /shared$", mount)


def test_kuberays_autoscaler_reads_the_cluster() -> None:
    spec = RAYJOB["rayClusterSpec"]
    metadata = {"name": "lcma", "namespace": "default"}
    nodes = as_kuberay_reads({"metadata": metadata, "spec": spec})["available_node_types"]
    (worker,) = [n for n in nodes.values() if n["max_workers"] > 1]
    (head,) = [n for n in nodes.values() if n is not worker]
    assert worker["min_workers"] == 0
    assert worker["resources"] | {"CPU": 8, "GPU": 1} == worker["resources"]
    assert head["resources"]["CPU"] == 0
    assert "GPU" not in head["resources"]


def test_the_sweep_is_a_rayjob_that_takes_its_cluster_down() -> None:
    assert MANIFESTS["RayJob/lcma-sweep"]["apiVersion"] == "ray.io/v1"
    assert RAYJOB["shutdownAfterJobFinishes"] is True
    assert RAYJOB["submissionMode"] == "K8sJobMode"
    cluster = RAYJOB["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["rayVersion"] == PINS["ray"]
    program, name = RAYJOB["entrypoint"].split()
    script = next(p for p, text in TEXTS.items() if f"`{program}`" in text.partition("set ")[0])
    place = script.relative_to(ROOT)
    assert f"COPY --chmod=755 {place} /usr/local/bin/{program}\n" in TEXTS[DEPLOY / "Dockerfile"]
    sweep = specs.load(name)
    prepared = containers()["prepare"][0]["command"]
    assert list(sweep.matrix.dataset) == [prepared[prepared.index("prepare") + 1]]
    assert sweep.matrix.dataset[0] in {known.name for known in data.list_sets(ROOT)}


def test_all_pods_run_this_version_on_the_shared_volume() -> None:
    for name in ("ray-head", "ray-worker", "prepare", "shell"):
        container, pod = containers()[name]
        assert container["image"] == f"lcma:{PROJECT['version']}"
        assert container["resources"]["limits"]["memory"]
        assert container["volumeMounts"] == [{"name": "shared", "mountPath": "/shared"}]
        (volume,) = pod["volumes"]
        claim = volume["persistentVolumeClaim"]["claimName"]
        assert MANIFESTS[f"PersistentVolumeClaim/{claim}"]["spec"]["accessModes"] == [
            "ReadWriteMany"
        ]
    variables = strict_yaml.parse(RAYJOB["runtimeEnvYAML"], "runtimeEnvYAML")["env_vars"]
    assert variables["LCMA_RUNS"].startswith("/shared/")
    assert values(containers()["prepare"][0])["LCMA_DATA"] == variables["LCMA_DATA"]
    assert values(containers()["shell"][0]) == variables


def test_the_sweep_finds_the_database() -> None:
    variables = strict_yaml.parse(RAYJOB["runtimeEnvYAML"], "runtimeEnvYAML")["env_vars"]
    server, pod = containers()["postgres"]
    told, pooler = values(server), values(containers()["pgbouncer"][0])
    service, front = MANIFESTS["Service/lcma-postgres"], MANIFESTS["Service/lcma-pgbouncer"]
    host = service["metadata"]["name"]
    user, name = told["POSTGRES_USER"], told["POSTGRES_DB"]
    assert variables["LCMA_DB"] == f"postgresql://{user}@{front['metadata']['name']}/{name}"
    assert (pooler["DB_HOST"], pooler["DB_USER"], pooler["DB_NAME"]) == (host, user, name)
    assert front["spec"]["selector"] == POOLER["template"]["metadata"]["labels"]
    assert front["spec"]["selector"] == POOLER["selector"]["matchLabels"]
    assert front["spec"]["ports"] == service["spec"]["ports"]
    assert DATABASE["serviceName"] == host
    labels = DATABASE["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels == DATABASE["selector"]["matchLabels"]
    (port,), (offered,) = service["spec"]["ports"], server["ports"]
    assert port["targetPort"] == offered["name"]
    assert offered["containerPort"] == port["port"] == 5432
    (claim,) = DATABASE["volumeClaimTemplates"]
    assert [v["name"] for v in server["volumeMounts"]] == [claim["metadata"]["name"]]
    assert "volumes" not in pod


def test_the_pooler_and_the_server_are_set_as_the_page_of_the_database_says() -> None:
    page = (ROOT / "docs" / "postgresql.md").read_text()
    settings = dict(re.findall(r"^(\w+) = (\w+) *(?:;.*)?$", page, re.M))
    told = values(containers()["pgbouncer"][0])
    for name in ("pool_mode", "ignore_startup_parameters", "max_client_conn"):
        assert told[name.upper()] == settings[name]
    assert int(told["DEFAULT_POOL_SIZE"]) < 100, "the server's own limit"
    (timeout,) = re.findall(r"SET lock_timeout = '(\w+)'", page)
    assert containers()["postgres"][0]["args"] == ["-c", f"lock_timeout={timeout}"]
    assert timeout == f"{WAIT_SECONDS}s"


def values(container: dict[str, Any]) -> dict[str, str]:
    return {e["name"]: e["value"] for e in container.get("env", []) if "value" in e}


def test_secrets_are_references_alone() -> None:
    (made,) = re.findall(r"kubectl create secret generic (\S+) --from-literal=(\w+)=", PAGE)
    assert not any(kind.startswith("Secret/") for kind in MANIFESTS)
    asked = {}
    for name, (container, _) in containers().items():
        for variable in container.get("env", []):
            if re.search("PASSWORD|TOKEN|SECRET", variable["name"]):
                reference = variable["valueFrom"]["secretKeyRef"]
                assert (reference["name"], reference["key"]) == made
                asked[name] = variable["name"]
    ray = dict.fromkeys(("ray-head", "ray-worker", "shell"), "PGPASSWORD")
    assert asked == ray | {"postgres": "POSTGRES_PASSWORD", "pgbouncer": "DB_PASSWORD"}
    for path, text in {**TEXTS, ROOT / "docs" / "cluster.md": PAGE}.items():
        assert not re.search(r"://[\w.]+:[^/@\s]+@", text), path
        assert not re.search(r"(?:PASSWORD|AUTH_TOKEN)=(?!\$)\S", text), path


def test_the_image_has_the_package_and_its_extras() -> None:
    text = joined(TEXTS[DEPLOY / "Dockerfile"])
    lines = re.findall(r"^COPY (?:--\S+ )?(.*) \S+$", text, re.M)
    copied = [word for line in lines for word in line.split()]
    built = {"db", "harness", "models", "src", "sweeps", "pyproject.toml", "hatch_build.py"}
    assert built <= set(copied)
    assert all((ROOT / name).exists() for name in copied)
    installs = [text, *CLUSTER["setup_commands"], PAGE]
    found = [re.findall(r"\[([a-z0-9,]+)\]'|\.whl\)\[([a-z0-9,]+)\]", t) for t in installs]
    extras = {e for hits in found for hit in hits for part in hit for e in part.split(",") if e}
    assert extras == {"cluster", "gcs", "pictures", "postgres", "s3"}
    assert extras <= set(PROJECT["optional-dependencies"])
    assert re.search(r"^USER lcma$", text, re.M)
    (image,) = re.findall(r"'\.\[(\S+)\]'", text)
    (machine,) = re.findall(r"\.whl\)\[(\S+)\]", " ".join(CLUSTER["setup_commands"]))
    assert set(image.split(",")) == set(machine.split(",")) == extras - {"gcs"}


def test_image_and_machines_get_the_torch_of_the_tests() -> None:
    """Two builds of one commit would differ else; pip takes any build of the version."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", TEXTS[DEPLOY / "torch.txt"], re.M))
    assert pins.keys() == {"torch", "torchvision"}
    assert not pins.keys() & PINS.keys()
    for name, pin in pins.items():
        (asked,) = [Requirement(d) for d in PROJECT["dependencies"] if re.match(f"{name}\\b", d)]
        assert pin in asked.specifier
        assert "+" not in pin, "a build of its own"
    text = joined(TEXTS[DEPLOY / "Dockerfile"])
    assert re.search(r"^COPY .*deploy/torch.txt .*\./$", text, re.M)
    assert re.search(r"pip install .*-c constraints.txt -c torch.txt ", text)
    (install,) = [c for c in CLUSTER["setup_commands"] if "pip install" in c]
    assert "-c ~/lcma/torch.txt" in install
    assert f"/home/{CLUSTER['auth']['ssh_user']}/lcma/torch.txt" in CLUSTER["file_mounts"]
    assert PINS["s3fs"] == PINS["fsspec"], "s3fs asks for its own release of fsspec"


def test_the_image_is_told_the_commit() -> None:
    text = joined(TEXTS[DEPLOY / "Dockerfile"].replace("\n# ", "\n"))
    assert re.search(r'^ARG LCMA_COMMIT=""\nRUN pip install ', text, re.M)
    commands = re.findall(r"docker build .*LCMA_COMMIT=\$\((.*)\) \.$", text + joined(PAGE), re.M)
    assert len(commands) == 2
    version, digest = read_code_version()
    commit = version.partition("+")[2]
    for command in commands:
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
        assert done.stdout == (f"{commit}-{digest}\n" if digest else f"{commit}\n"), done.stderr


def test_the_page_says_of_every_file_how_far_it_was_tried() -> None:
    table = PAGE.partition("What has been tried")[2].partition("## ")[0]
    for path in TEXTS:
        place = path.relative_to(ROOT)
        assert f"`{place}`" in table or f"`{place.parent}/`" in table, place
