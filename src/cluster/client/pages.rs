//! Lists, page by page.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::api::ListParams;

/// Objects in one page of a list, as in client-go.
const PAGE: u32 = 500;

/// The next page of a list.
#[derive(Clone, Debug)]
pub struct ListPages(Option<ListParams>);

impl ListPages {
    /// Starts at the first page of the objects that these parameters select.
    #[must_use]
    pub fn of(selected: ListParams) -> Self {
        Self(Some(selected.limit(PAGE)))
    }

    /// The parameters of the next page; `None` after the last one.
    #[must_use]
    pub fn next(&self) -> Option<&ListParams> {
        self.0.as_ref()
    }

    /// Asks for half as many objects. False if it was one.
    pub fn halve(&mut self) -> bool {
        match &mut self.0 {
            Some(ListParams {
                limit: Some(limit @ 2..),
                ..
            }) => {
                *limit /= 2;
                true
            }
            _ => false,
        }
    }

    /// Turns to the page that the metadata of the last one names.
    pub fn turn(&mut self, page: &ListMeta) {
        let token = page.continue_.clone().filter(|token| !token.is_empty());
        self.0 = match (self.0.take(), token) {
            (Some(params), Some(token)) => Some(params.continue_token(&token)),
            _ => None,
        };
    }
}
