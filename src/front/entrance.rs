//! Which way does a request take? The API's own goes straight to its answer; all else is looked up among the
//! routes of the web framework, which takes as long as all the rest of a read. It reads nothing but the path, and
//! whether a figure of the balancer's own may be seen.

use std::rc::Rc;

use actix_http::{Request, Response};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, fn_factory_with_config, fn_service};
use actix_web::HttpMessage;
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, ServiceResponse};

use super::idle::Answering;
use super::{Worker, credential, dispatch, intake, rescue};

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
    let asked = worker.clients.ask(&request);
    let response: Response<BoxBody> = if request.path().starts_with(API) || intake::is_unfit(request.head()) {
        let payload = request.take_payload();
        dispatch::dispatch(request.head(), payload, &worker).await.into()
    } else {
        own(&app, &worker, request).await?
    };
    Ok(response.map_body(|_, body| BoxBody::new(Answering::of(body, asked))))
}

/// A route of the balancer's own, or none. It finds the key that lets the request in beside it.
async fn own<S>(app: &S, worker: &Worker, mut request: Request) -> Result<Response<BoxBody>, actix_web::Error>
where
    S: Service<Request, Response = ServiceResponse, Error = actix_web::Error>,
{
    match credential::admit_to_own(&worker.shared, request.head()) {
        Ok(key) => {
            if let Some(key) = key {
                request.extensions_mut().insert(key);
            }
            Ok(app.call(request).await?.into())
        }
        Err(denied) => {
            let payload = request.take_payload();
            Ok(intake::unread(rescue::denied(&denied).into_response(), payload).into())
        }
    }
}
