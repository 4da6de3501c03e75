# ccci-upgrade from this checkout: `pkgs.callPackage ./package.nix { }`. Never built where this was written, for there
# was no nixpkgs; its names and dependencies are compared with pyproject.toml by a test.
{
  lib,
  stdenv,
  python3Packages,
  autoPatchelfHook,
  git,
  openssh,
}:
let
  # The age format, for secrets that are kept with snapshots. nixpkgs had no such package when this was written.
  pyrageWheel =
    let
      built = {
        x86_64-linux = {
          platform = "manylinux_2_17_x86_64.manylinux2014_x86_64";
          hash = "sha256-f06wy8K0ruXerJhixHs4lYZt9VVBU5Ua+CLpxYHmhVg=";
        };
        aarch64-linux = {
          platform = "manylinux_2_17_aarch64.manylinux2014_aarch64";
          hash = "sha256-+GizYMzT+DYybUK1Mvrj6OuDQKiMygo5wK4Q/OaPbMU=";
        };
      };
      system = stdenv.hostPlatform.system;
    in
    python3Packages.buildPythonPackage rec {
      pname = "pyrage";
      version = "1.4.0";
      format = "wheel";
      src = python3Packages.fetchPypi (
        {
          inherit pname version format;
          dist = "cp310";
          python = "cp310";
          abi = "abi3";
        }
        // built.${system} or (throw "ccci-upgrade: there is no pyrage for ${system}; put one into python3Packages")
      );
      nativeBuildInputs = [ autoPatchelfHook ];
      buildInputs = [ (lib.getLib stdenv.cc.cc) ];
      pythonImportsCheck = [ "pyrage" ];
    };
in
python3Packages.buildPythonApplication {
  pname = "ccci-upgrade";
  version = builtins.head (
    builtins.match ".*__version__ = \"([^\"]+)\".*" (builtins.readFile ../ccci_upgrade/__init__.py)
  );
  pyproject = true;
  src = lib.cleanSource ../.;

  build-system = [ python3Packages.hatchling ];
  dependencies = [
    python3Packages.certifi
    python3Packages.httpcore
    python3Packages.httpx
    python3Packages.platformdirs
    (python3Packages.pyrage or pyrageWheel)
    python3Packages.pyyaml
    python3Packages.questionary
    python3Packages.rich
    python3Packages.typer
  ];
  # A newer typer only starts more slowly. rich has a lower bound that matters, and stays.
  pythonRelaxDeps = [ "typer" ];

  # Behind what is on the PATH already: a maintainer's own git and ssh win.
  makeWrapperArgs = [ "--suffix PATH : ${lib.makeBinPath [ git openssh ]}" ];

  # The tests need an Engine and a network of their own.
  doCheck = false;
  pythonImportsCheck = [ "ccci_upgrade.cli.start" ];

  meta = {
    description = "Upgrade the infra apps of a Co-op Cloud CI server by hand, safely";
    license = lib.licenses.mit;
    mainProgram = "ccci-upgrade";
    platforms = lib.platforms.linux;
  };
}
