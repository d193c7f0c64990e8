from helix_ray.emulator.http import main

main()
