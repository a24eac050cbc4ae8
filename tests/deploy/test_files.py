"""The files in deploy/ and the commands of docs/cluster.md: the programs that read them parse them,
they agree with each other and with the package, and hold no secret."""

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
    _derive_autoscaling_config_from_ray_cr as read_as_kuberay,
)
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import cli as ray_cli

from lcma.db.postgres import WAIT_SECONDS
from lcma.harness import data
from lcma.harness.cli.main import app
from lcma.harness.version import read_code_version
from lcma.sweeps import spec as specs
from lcma.sweeps import strict_yaml
from tests.processes import ROOT

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


def read_pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.M))


def read_manifests() -> Iterator[dict[str, Any]]:
    for path in sorted((DEPLOY / "kuberay").glob("*.yaml")):
        for text in path.read_text().split("\n---\n"):
            yield strict_yaml.parse(text, path.name)


PINS = read_pins((ROOT / "constraints.txt").read_text())
MANIFESTS = {f"{m['kind']}/{m['metadata']['name']}": m for m in read_manifests()}
CLUSTER = strict_yaml.read(DEPLOY / "ray-cluster.yaml")
RAYJOB = MANIFESTS["RayJob/lcma-sweep"]["spec"]
RAY_CLUSTER = RAYJOB["rayClusterSpec"]
RAY_VARIABLES = strict_yaml.parse(RAYJOB["runtimeEnvYAML"], "runtimeEnvYAML")["env_vars"]
DATABASE = MANIFESTS["StatefulSet/lcma-postgres"]["spec"]
POOLER = MANIFESTS["Deployment/lcma-pgbouncer"]["spec"]
OWNERS = [
    *(RAY_CLUSTER["headGroupSpec"], *RAY_CLUSTER["workerGroupSpecs"]),
    *(MANIFESTS["Job/lcma-data"]["spec"], {"template": MANIFESTS["Pod/lcma-shell"]}),
    *(DATABASE, POOLER),
]
PODS = [owner["template"]["spec"] for owner in OWNERS]
CONTAINERS = {c["name"]: c for pod in PODS for c in pod["containers"]}


def read_variables(container: str) -> dict[str, str]:
    entries = CONTAINERS[container].get("env", [])
    return {e["name"]: e["value"] for e in entries if "value" in e}


def join_lines(text: str) -> str:
    """Join the continued lines of a shell text."""
    return re.sub(r"\\\n\s*", "", text)


DOCKERFILE = join_lines(TEXTS[DEPLOY / "Dockerfile"])
STAND_INS = {
    '"$@"': "table2 --seeds 6",
    '"$host:$port"': "HOST:6379",
    '"$SLURM_CPUS_PER_TASK"': "16",
    "$RAY_HEAD_IP": "HEAD",
}


def find_commands(program: str) -> dict[str, list[str]]:
    """Find a program's command lines, with their words: in scripts, manifests and the page."""
    shell = [join_lines(TEXTS[path]) for path in SCRIPTS]
    shell += [line for key in CLUSTER if key.endswith("_commands") for line in CLUSTER[key]]
    shell.append(shlex.join(CONTAINERS["prepare"]["command"]))
    shell += [join_lines(block) for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S)]
    shell += re.findall(r"(?<!`)`([^`\n]+)`(?!`)", PAGE)
    text = re.sub(r"^\s*#.*", "", "\n".join(shell), flags=re.M)
    for name, value in STAND_INS.items():
        text = text.replace(name, value)
    start = r"(?:^\s*|; |-- |until |exec |&& )"
    plain = re.findall(rf"{start}({program} [a-z][^\n;&#|]*?)(?= *(?:2>|[\n;&#|]|$))", text, re.M)
    quoted = re.findall(rf"'({program} [a-z][^\n']*)'", text)
    return {line: shlex.split(line) for line in plain + quoted}


LCMA, RAY = find_commands("lcma"), find_commands("ray")


def test_command_lines_are_found() -> None:
    assert "lcma launch table2 --seeds 6 --ray HOST:6379" in LCMA
    assert "lcma launch table2 --seeds 6 --ray auto" in LCMA
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
    """Parse a command line by the program's own parser, without running it. A line of a verb only
    has to name a command."""
    context, name, rest = None, words[0], words[1:]
    while hasattr(command, "get_command"):
        context = command.context_class(command, info_name=name, parent=context)
        command = command.get_command(context, rest[0])
        assert command is not None, f"{name} has no {rest[0]}"
        name, rest = rest[0], rest[1:]
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
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)$", TEXTS[DEPLOY / name], re.M))
    assert options["signal"].startswith("B:USR1@")
    assert {"requeue", "open-mode", "cpus-per-task"} | more <= set(options)
    assert f"--signal={options['signal']}" in PAGE
    assert "ray stop" not in re.sub(r"#.*", "", TEXTS[DEPLOY / name])


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
    variables = " ".join(CLUSTER["initialization_commands"])
    assert "RAY_AUTH_MODE=token" in variables
    setup = " ".join(CLUSTER["setup_commands"])
    for folder in re.findall(r"LCMA_\w+=(/shared/\w+)", variables):
        assert folder in setup
    (mount,) = [c for c in CLUSTER["setup_commands"] if "mount -t" in c]
    assert re.search(r" \S+:/ /shared$", mount)


def test_kuberays_autoscaler_reads_the_cluster() -> None:
    metadata = {"name": "lcma", "namespace": "default"}
    nodes = read_as_kuberay({"metadata": metadata, "spec": RAY_CLUSTER})["available_node_types"]
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
    assert RAY_CLUSTER["authOptions"] == {"mode": "token"}
    assert RAY_CLUSTER["rayVersion"] == PINS["ray"]
    program, name = RAYJOB["entrypoint"].split()
    script = next(p for p, text in TEXTS.items() if f"`{program}`" in text.partition("set ")[0])
    copy = f"COPY --chmod=755 {script.relative_to(ROOT)} /usr/local/bin/{program}\n"
    assert copy in TEXTS[DEPLOY / "Dockerfile"]
    (dataset,) = specs.load(name).matrix.dataset
    command = CONTAINERS["prepare"]["command"]
    assert command[command.index("prepare") + 1] == dataset
    assert dataset in {known.name for known in data.list_sets(ROOT)}


def test_all_pods_run_this_version_on_the_shared_volume() -> None:
    for pod in PODS[:4]:
        (container,) = pod["containers"]
        assert container["image"] == f"lcma:{PROJECT['version']}"
        assert container["resources"]["limits"]["memory"]
        assert container["volumeMounts"] == [{"name": "shared", "mountPath": "/shared"}]
        (volume,) = pod["volumes"]
        claim = MANIFESTS[f"PersistentVolumeClaim/{volume['persistentVolumeClaim']['claimName']}"]
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert RAY_VARIABLES["LCMA_RUNS"].startswith("/shared/")
    assert read_variables("prepare")["LCMA_DATA"] == RAY_VARIABLES["LCMA_DATA"]
    assert read_variables("shell") == RAY_VARIABLES


def test_the_sweep_finds_the_database() -> None:
    server, pooler = read_variables("postgres"), read_variables("pgbouncer")
    service, front = MANIFESTS["Service/lcma-postgres"], MANIFESTS["Service/lcma-pgbouncer"]
    host = service["metadata"]["name"]
    user, name = server["POSTGRES_USER"], server["POSTGRES_DB"]
    assert RAY_VARIABLES["LCMA_DB"] == f"postgresql://{user}@{front['metadata']['name']}/{name}"
    assert (pooler["DB_HOST"], pooler["DB_USER"], pooler["DB_NAME"]) == (host, user, name)
    for target, workload in ((service, DATABASE), (front, POOLER)):
        labels = workload["template"]["metadata"]["labels"]
        assert target["spec"]["selector"] == labels == workload["selector"]["matchLabels"]
    assert front["spec"]["ports"] == service["spec"]["ports"]
    assert DATABASE["serviceName"] == host
    (port,), (container_port,) = service["spec"]["ports"], CONTAINERS["postgres"]["ports"]
    assert port["targetPort"] == container_port["name"]
    assert container_port["containerPort"] == port["port"] == 5432
    (claim,) = DATABASE["volumeClaimTemplates"]
    mounts = CONTAINERS["postgres"]["volumeMounts"]
    assert [mount["name"] for mount in mounts] == [claim["metadata"]["name"]]
    assert "volumes" not in DATABASE["template"]["spec"]


def test_the_pooler_and_the_server_are_set_as_the_page_of_the_database_says() -> None:
    page = (ROOT / "docs" / "postgresql.md").read_text()
    settings = dict(re.findall(r"^(\w+) = (\w+) *(?:;.*)?$", page, re.M))
    pooler = read_variables("pgbouncer")
    for name in ("pool_mode", "ignore_startup_parameters", "max_client_conn"):
        assert pooler[name.upper()] == settings[name]
    assert int(pooler["DEFAULT_POOL_SIZE"]) < 100, "the server's own limit"
    (timeout,) = re.findall(r"SET lock_timeout = '(\w+)'", page)
    assert CONTAINERS["postgres"]["args"] == ["-c", f"lock_timeout={timeout}"]
    assert timeout == f"{WAIT_SECONDS}s"


def test_secrets_are_only_references() -> None:
    (secret,) = re.findall(r"kubectl create secret generic (\S+) --from-literal=(\w+)=", PAGE)
    assert not any(kind.startswith("Secret/") for kind in MANIFESTS)
    variables = {}
    for name, container in CONTAINERS.items():
        for variable in container.get("env", []):
            if re.search("PASSWORD|TOKEN|SECRET", variable["name"]):
                reference = variable["valueFrom"]["secretKeyRef"]
                assert (reference["name"], reference["key"]) == secret
                variables[name] = variable["name"]
    ray = dict.fromkeys(("ray-head", "ray-worker", "shell"), "PGPASSWORD")
    assert variables == ray | {"postgres": "POSTGRES_PASSWORD", "pgbouncer": "DB_PASSWORD"}
    for path, text in {**TEXTS, ROOT / "docs" / "cluster.md": PAGE}.items():
        assert not re.search(r"://[\w.]+:[^/@\s]+@", text), path
        assert not re.search(r"(?:PASSWORD|AUTH_TOKEN)=(?!\$)\S", text), path


def test_the_image_has_the_package_and_its_extras() -> None:
    lines = re.findall(r"^COPY (?:--\S+ )?(.*) \S+$", DOCKERFILE, re.M)
    copied = {word for line in lines for word in line.split()}
    assert copied >= {
        "db",
        "harness",
        "models",
        "src",
        "sweeps",
        "pyproject.toml",
        "hatch_build.py",
    }
    assert all((ROOT / name).exists() for name in copied)
    installs = "\n".join([DOCKERFILE, *CLUSTER["setup_commands"], PAGE])
    lists = re.findall(r"\[([a-z0-9,]+)\]['\"]", installs)
    extras = {extra for names in lists for extra in names.split(",")}
    assert extras == {"cluster", "gcs", "pictures", "postgres", "s3"}
    assert extras <= set(PROJECT["optional-dependencies"])
    assert re.search(r"^USER lcma$", DOCKERFILE, re.M)
    (image,) = re.findall(r"'\.\[(\S+)\]'", DOCKERFILE)
    (machine,) = re.findall(r"\.whl\)\[(\S+)\]", " ".join(CLUSTER["setup_commands"]))
    assert set(image.split(",")) == set(machine.split(",")) == extras - {"gcs"}


def test_image_and_machines_get_the_torch_of_the_tests() -> None:
    """Two builds of one commit would differ otherwise; pip takes any build of the version."""
    pins = read_pins(TEXTS[DEPLOY / "torch.txt"])
    assert pins.keys() == {"torch", "torchvision"}
    assert not pins.keys() & PINS.keys()
    requirements = {r.name: r for r in map(Requirement, PROJECT["dependencies"])}
    for name, pin in pins.items():
        assert pin in requirements[name].specifier
        assert "+" not in pin, "it pins a build"
    assert re.search(r"^COPY .*deploy/torch.txt .*\./$", DOCKERFILE, re.M)
    assert re.search(r"pip install .*-c constraints.txt -c torch.txt ", DOCKERFILE)
    (install,) = [c for c in CLUSTER["setup_commands"] if "pip install" in c and " -c " in c]
    assert "-c ~/lcma/torch.txt" in install
    assert f"/home/{CLUSTER['auth']['ssh_user']}/lcma/torch.txt" in CLUSTER["file_mounts"]
    assert PINS["s3fs"] == PINS["fsspec"], "s3fs asks for its own release of fsspec"
    assert PINS["python-dateutil"].startswith("2."), "botocore, which s3fs needs, asks for it"


def test_the_image_is_told_the_commit() -> None:
    comments = join_lines(TEXTS[DEPLOY / "Dockerfile"].replace("\n# ", "\n"))
    assert re.search(r'^ARG LCMA_COMMIT=""\nRUN pip install ', comments, re.M)
    build = r"docker build .*LCMA_COMMIT=\$\((.*)\) \.$"
    commands = re.findall(build, comments + join_lines(PAGE), re.M)
    assert len(commands) == 2
    version, digest = read_code_version()
    commit = version.partition("+")[2]
    for command in commands:
        process = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
        assert process.stdout == (f"{commit}-{digest}\n" if digest else f"{commit}\n")


def test_the_page_says_of_every_file_how_far_it_was_tried() -> None:
    table = PAGE.partition("What has been tried")[2].partition("## ")[0]
    for path in TEXTS:
        file = path.relative_to(ROOT)
        assert f"`{file}`" in table or f"`{file.parent}/`" in table, file
