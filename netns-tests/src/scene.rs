//! What most tests begin with: the topology, a certificate authority, and nginx at `https://origin.test/`.

use crate::ca::{Ca, Identity};
use crate::nginx::{Nginx, Site};
use crate::topology::Topology;
use anyhow::Result;

/// A network with its origin server running, and no relay yet.
#[derive(Debug)]
pub struct Scene {
    /// The origin server; a test may kill and start it.
    pub nginx: Option<Nginx>,
    /// The certificate authority that the relay's configuration trusts.
    pub ca: Ca,
    /// The origin's certificate.
    pub identity: Identity,
    /// The namespaces.
    pub net: Topology,
}

impl Scene {
    /// One device. `directives` are nginx's, for the origin's only site.
    pub fn create(directives: &str) -> Result<Self> {
        Self::with_devices(1, directives)
    }

    /// Several devices, a namespace each.
    pub fn with_devices(devices: usize, directives: &str) -> Result<Self> {
        let net = Topology::create(devices)?;
        let ca = Ca::create("ca")?;
        let identity = ca.issue(&["origin.test", "elsewhere.test"])?;
        let mut scene = Self { nginx: None, ca, identity, net };
        scene.start_nginx(directives)?;
        Ok(scene)
    }

    /// Starts the origin server, after [`Scene::kill_nginx`].
    pub fn start_nginx(&mut self, directives: &str) -> Result<()> {
        self.nginx = Some(self.another_nginx(directives)?);
        Ok(())
    }

    /// One that may take the place of [`Scene::nginx`], after [`Scene::kill_nginx`].
    pub fn another_nginx(&self, directives: &str) -> Result<Nginx> {
        let site = Site { port: 443, identity: &self.identity, directives };
        Nginx::start(&self.net.origin, &[site])
    }

    /// The origin server dies: open connections break, new ones are refused.
    pub fn kill_nginx(&mut self) -> Result<()> {
        self.nginx.take().map_or(Ok(()), Nginx::kill)
    }
}
