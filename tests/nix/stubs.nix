# The options of NixOS that nix/*.nix sets or reads, with the defaults NixOS gives them. Sources, in nixos/modules/ of
# nixpkgs: virtualisation/docker.nix, virtualisation/oci-containers.nix, system/boot/systemd.nix,
# services/scheduling/cron.nix.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };
  strings = option (types.listOf types.str) [ ];
  text = option types.lines "";
  unit = {
    enable = option types.bool true;
    description = option types.str "";
    after = strings;
    before = strings;
    requires = strings;
    wants = strings;
    wantedBy = strings;
    partOf = strings;
    unitConfig = option (types.attrsOf types.anything) { };
  };
  service = types.submodule {
    options = unit // {
      environment = option (types.attrsOf types.anything) { };
      path = option (types.listOf types.anything) [ ];
      serviceConfig = option (types.attrsOf types.anything) { };
      startAt = mkOption {
        type = types.anything;
        default = [ ];
      };
      script = text;
      preStart = text;
      postStart = text;
      reload = text;
      preStop = text;
      postStop = text;
      restartIfChanged = option types.bool true;
    };
  };
  file = types.submodule {
    options.text = option (types.nullOr types.lines) null;
    options.mode = option types.str "symlink";
  };
in
{
  options = {
    assertions = option (types.listOf types.anything) [ ];
    environment.etc = option (types.attrsOf file) { };
    environment.systemPackages = option (types.listOf types.package) [ ];
    networking.firewall.allowedTCPPorts = option (types.listOf types.port) [ ];
    services.cron.systemCronJobs = strings;
    services.traefik.enable = option types.bool false;
    services.keycloak.enable = option types.bool false;
    system.activationScripts = option (types.attrsOf types.anything) { };
    systemd.services = option (types.attrsOf service) { };
    systemd.user.services = option (types.attrsOf service) { };
    systemd.targets = option (types.attrsOf (types.submodule { options = unit; })) { };
    systemd.timers = option (types.attrsOf (
      types.submodule { options = unit // { timerConfig = option (types.attrsOf types.anything) { }; }; }
    )) { };
    time.timeZone = option (types.nullOr types.str) null;
    virtualisation.docker = {
      enable = option types.bool false;
      enableOnBoot = option types.bool true;
      liveRestore = option types.bool true;
      extraOptions = option types.str "";
      package = mkOption { type = types.package; };
      autoPrune.enable = option types.bool false;
      autoPrune.flags = strings;
      daemon.settings = option (types.attrsOf types.anything) { };
    };
    virtualisation.oci-containers.containers = option (types.attrsOf (
      types.submodule { options.image = mkOption { type = types.str; }; }
    )) { };
  };
}
