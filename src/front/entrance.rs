//! Which way does a request take? The API's own goes straight to its answer; all else is looked up among the
//! routes of the web framework, which takes as long as all the rest of a read. It reads nothing but the path.

use std::rc::Rc;

use actix_http::{Request, Response};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, fn_factory_with_config, fn_service};
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, ServiceResponse};

use super::{Worker, dispatch};

/// Below it there is no route of the balancer's own.
const API: &str = "/api/";

pub(super) fn entrance<S>(
    app: impl IntoServiceFactory<S, Request>,
    worker: Worker,
) -> impl ServiceFactory<
    Request,
    Config = AppConfig,
    Response = Response<BoxBody>,
    Error = actix_web::Error,
    InitError = (),
>
where
    S: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse,
            Error = actix_web::Error,
            InitError = (),
        > + 'static,
{
    let (app, worker) = (Rc::new(app.into_factory()), Rc::new(worker));
    fn_factory_with_config(move |config: AppConfig| {
        let (app, worker) = (Rc::clone(&app), Rc::clone(&worker));
        async move {
            let app = Rc::new(app.new_service(config).await?);
            Ok(fn_service(move |request| enter(Rc::clone(&app), Rc::clone(&worker), request)))
        }
    })
}

async fn enter<S>(
    app: Rc<S>,
    worker: Rc<Worker>,
    mut request: Request,
) -> Result<Response<BoxBody>, actix_web::Error>
where
    S: Service<Request, Response = ServiceResponse, Error = actix_web::Error>,
{
    if !request.path().starts_with(API) {
        return Ok(app.call(request).await?.into());
    }
    let payload = request.take_payload();
    Ok(dispatch::dispatch(request.head(), payload, &worker).await.into())
}
