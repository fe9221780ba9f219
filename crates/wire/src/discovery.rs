//! The calls that clients make first: supported methods and cluster nodes.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::calls;
use crate::connections::Peer;
use crate::endpoint::{Endpoint, count};
use crate::identifiers::{UuidForm, ticks, uuid};
use crate::protocol::gossip::gossip_server::Gossip;
use crate::protocol::gossip::member_info::VNodeState;
use crate::protocol::gossip::{ClusterInfo, EndPoint, MemberInfo};
use crate::protocol::server_features::server_features_server::ServerFeatures;
use crate::protocol::server_features::{SupportedMethod, SupportedMethods};
use crate::protocol::shared::Empty;

/// The version of EventStoreDB whose protocol is implemented (in part).
const PROTOCOL_VERSION: &str = "24.10.0";

/// The service `ServerFeatures`. Clients call it before they authenticate.
pub(crate) struct FeaturesService;

#[tonic::async_trait]
impl ServerFeatures for FeaturesService {
    async fn get_supported_methods(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<SupportedMethods>, Status> {
        count(calls::GET_SUPPORTED_METHODS.metric, None);
        // In lower case, which clients compare with.
        let methods = calls::advertised().map(|(service, call)| SupportedMethod {
            method_name: call.to_lowercase(),
            service_name: service.to_lowercase(),
            features: Vec::new(),
        });
        Ok(Response::new(SupportedMethods {
            methods: methods.collect(),
            event_store_server_version: PROTOCOL_VERSION.to_owned(),
        }))
    }
}

/// The service `Gossip`: returns one node, the leader. Replicas stand behind one name or proxy.
pub(crate) struct GossipService(pub(crate) Arc<Endpoint>);

#[tonic::async_trait]
impl Gossip for GossipService {
    async fn read(&self, request: Request<Empty>) -> Result<Response<ClusterInfo>, Status> {
        count(calls::GOSSIP_READ.metric, None);
        // The address at which the client reached this server, which may listen on every address.
        let peer = Peer::of(request.extensions());
        let address = peer.and_then(|peer| peer.local_address).unwrap_or(self.0.address);
        let member = MemberInfo {
            instance_id: Some(uuid(self.0.instance, UuidForm::Structured)),
            time_stamp: ticks(self.0.clock.now()),
            state: VNodeState::Leader.into(),
            is_alive: !self.0.stopping.is_cancelled(),
            http_end_point: Some(EndPoint {
                address: address.ip().to_string(),
                port: address.port().into(),
            }),
        };
        Ok(Response::new(ClusterInfo { members: vec![member] }))
    }
}
