from tests.podman import Podman
def test_x(podman_engine):
    import subprocess
    print(podman_engine("ps","-a","--external"))
    print(podman_engine("images","-a"))
    print(podman_engine("logs","running"))
    print(subprocess.run(["curl","-s","--unix-socket",podman_engine.socket[7:],"http://d/info"],capture_output=True,text=True).stdout[:300])
    from ovlctl.engines import podman_store
    from ovlctl.engines.places import Place
    from ovlctl.engines.values import Engine
    s,=podman_store.read(Place(engine=Engine.PODMAN, root=podman_engine.root, run=podman_engine.run))
    for c in (*s.containers,*s.layers, *s.troubles): print(c)
    assert 0
