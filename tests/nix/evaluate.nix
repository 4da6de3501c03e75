# A host: the module, NixOS' options as far as they are needed, and what a test adds. Gives what a test looks at.
{
  lib,
  root,
  modules,
  extra ? { },
}:
let
  package = name: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/00000000000000000000000000000000-${name}";
  };
  pkgs = {
    jq = package "jq";
    git = package "git";
    abra = package "abra";
    callPackage = _file: _arguments: package "ccci-upgrade";
  } // extra;
  evaluated = lib.evalModules {
    modules = [
      (root + "/nix/host.nix")
      ./stubs.nix
      {
        config.virtualisation.docker.package = package "docker";
      }
    ] ++ modules;
    specialArgs = { inherit pkgs; };
  };
in
evaluated // { inherit lib pkgs package; }
