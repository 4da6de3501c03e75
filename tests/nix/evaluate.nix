# A host: the module, NixOS' options as far as they are needed, and what a test adds. Gives what a test looks at.
{
  lib,
  root,
  modules,
  without ? [ ],
}:
let
  package = name: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/00000000000000000000000000000000-${name}";
  };
  every = {
    jq = package "jq";
    git = package "git";
    abra = package "abra";
    callPackage = _file: _arguments: package "ccci-upgrade";
  };
  pkgs = builtins.removeAttrs every without;
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
