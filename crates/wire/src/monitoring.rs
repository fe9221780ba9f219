//! The service `Monitoring`: a few figures at an interval.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use crate::calls;
use crate::endpoint::Endpoint;
use crate::protocol::monitoring::monitoring_server::Monitoring;
use crate::protocol::monitoring::{StatsReq, StatsResp};
use crate::refusal::Refusal;

const MOST_OFTEN: Duration = Duration::from_millis(100);
const LEAST_OFTEN: Duration = Duration::from_secs(3600);

/// The service `Monitoring`. All metrics are at `/metrics` of the administration's listener.
pub(crate) struct MonitoringService(pub(crate) Arc<Endpoint>);

#[tonic::async_trait]
impl Monitoring for MonitoringService {
    type StatsStream = Pin<Box<dyn Stream<Item = Result<StatsResp, Status>> + Send>>;

    async fn stats(
        &self,
        request: Request<StatsReq>,
    ) -> Result<Response<Self::StatsStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let endpoint = Arc::clone(&self.0);
        let stats = |_| async move {
            let period = Duration::from_millis(request.refresh_time_period_in_ms);
            Ok(figures(endpoint, period.clamp(MOST_OFTEN, LEAST_OFTEN)))
        };
        let figures = self.0.answer(&calls::STATS, &extensions, stats).await?;
        Ok(figures.map(|figures| -> Self::StatsStream {
            Box::pin(figures.map(|figures| figures.map_err(Status::from)))
        }))
    }
}

fn figures(
    endpoint: Arc<Endpoint>,
    period: Duration,
) -> impl Stream<Item = Result<StatsResp, Refusal>> + Send {
    try_stream! {
        let mut ticks = tokio::time::interval(period);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = endpoint.stopping.cancelled() => {}
            }
            endpoint.goes_on()?;
            let head = endpoint.store.head().await.map_err(Refusal::from)?;
            let stats = HashMap::from([
                ("es-log-head".to_owned(), head.to_string()),
                ("es-log-id".to_owned(), endpoint.store.log_id().to_string()),
            ]);
            yield StatsResp { stats };
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::module_store::tests::{endpoint, from};

    #[tokio::test]
    async fn figures_come_until_the_server_stops() {
        let endpoint = endpoint();
        let service = MonitoringService(Arc::clone(&endpoint));
        let asked = || StatsReq { use_metadata: false, refresh_time_period_in_ms: 1 };
        let refused = service.stats(from("orders", asked())).await.map(drop).unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);

        let mut figures = service.stats(from("auditor", asked())).await.unwrap().into_inner();
        for _ in 0..2 {
            let response = figures.next().await.unwrap().unwrap();
            assert_eq!(response.stats["es-log-head"], "0");
            assert_eq!(response.stats["es-log-id"], endpoint.store.log_id().to_string());
        }
        endpoint.stopping.cancel();
        let ended = figures.next().await.unwrap().unwrap_err();
        assert_eq!(ended.code(), Code::Unavailable);
    }
}
