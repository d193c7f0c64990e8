from helix_ray.emulator.server import main

main()
