# No inputs, so no lock file: the host's own flake brings nixpkgs (and sops-nix, where it keeps secrets).
{
  description = "The host of a Co-op Cloud CI server, and ccci-upgrade for the people who upgrade its apps";

  outputs =
    { self }:
    {
      nixosModules.host = import ./nix/host.nix;
      nixosModules.default = self.nixosModules.host;
      overlays.default = final: _previous: { ccci-upgrade = final.callPackage ./nix/package.nix { }; };
    };
}
