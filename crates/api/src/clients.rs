//! Typed clients with the size limits of the contract, one function for each service.

use crate::Channel;
use crate::auth::v1::accounts_client::AccountsClient;
use crate::auth::v1::revocations_client::RevocationsClient;
use crate::chatbot::v1::chatbot_client::ChatbotClient;
use crate::courses::v1::courses_client::CoursesClient;
use crate::files::v1::files_client::FilesClient;
use crate::search::v1::search_client::SearchClient;
use crate::users::v1::users_client::UsersClient;

macro_rules! client {
    ($(#[$doc:meta])* $name:ident, $client:ident) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name(channel: &Channel) -> $client<Channel> {
            let limit = channel.max_message_bytes();
            $client::new(channel.clone()).max_decoding_message_size(limit).max_encoding_message_size(limit)
        }
    };
}

client!(
    /// Accounts of the auth service.
    accounts, AccountsClient
);
client!(
    /// Revocations of the auth service.
    revocations, RevocationsClient
);
client!(
    /// Profiles and roles of the users service.
    users, UsersClient
);
client!(
    /// Courses and rights over them.
    courses, CoursesClient
);
client!(
    /// Files of courses.
    files, FilesClient
);
client!(
    /// Passages for a question.
    search, SearchClient
);
client!(
    /// Answers with citations.
    chatbot, ChatbotClient
);
