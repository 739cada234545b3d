//! Words that say nothing about what a text is about. Compared in lower case with their accents
//! (`thé` is not `the`), without apostrophes. Words that are content in one of the other
//! languages (`car`, `son`, `or`) are left out on purpose.

use std::collections::HashSet;
use std::sync::LazyLock;

const FRENCH: &str = "\
a ai aie aient ait alors après as au aucun aucune auquel aura aurait aussi autre autres aux \
auxquels avaient avait avant avec avez avions avoir avons ayant bien ce ceci cela celle celles \
celui cent ces cet cette ceux chaque chez ci comme comment contre dans de depuis des desquels \
dessous dessus deux doit donc dont du duquel durant elle elles en encore entre es est et était \
étaient étant été être eu eux fait faire fais faites faut font furent fut ici il ils je jusque la \
laquelle le lequel les lesquelles lesquels leur leurs lors lorsque lui là ma mais me mes moi moins \
même mêmes mon ne ni nos notre nous nôtre on ont ou où par parce pas pendant peu peut peuvent plus \
plusieurs pour pourquoi pouvez puis puisque qu quand que quel quelle quelles quelque quelques \
quels qui quoi sa sans se selon sera serait seront ses si sinon soit sommes sont sous soyez suis \
sur ta tandis te tel telle telles tels tes toi ton tous tout toute toutes très tu un une vers \
voici voilà vos votre vous vôtre y à ça";

const ENGLISH: &str = "\
a about above after again against all also am an and any are arent as at be because been before \
being below between both but by can cannot cant could couldnt did didnt do does doesnt doing dont \
down during each few for from further had has hasnt have havent having he her here hers herself \
him himself his how i if in into is isnt it its itself just me more most my myself no nor not of \
off on once only other our ours ourselves out over own same shall she should so some such than \
that thats the their theirs them themselves then there these they this those through to too under \
until up upon us very was wasnt we were werent what whats when where which while who whom whose \
why will with wont would you your yours yourself yourselves";

/// In the normalised form.
const ARABIC: &str = "\
في من علي الي عن مع هذا هذه ذلك تلك هولاء اوليك التي الذي الذين اللذان اللاتي هو هي هم هن هما نحن \
انا انت انتم ما ماذا لماذا متي اين كيف كم هل لا لم لن ليس ليست لما ان انه انها انهم اذا اذ لو كان \
كانت كانوا يكون تكون قد لقد كل بعض غير او ام ثم بل بين بعد قبل عند عندما حيث حين حتي كما كذلك لكن \
منذ خلال حول ضد دون سوي فقط ايضا اي ايه له لها لهم به بها بهم فيه فيها فيهم منه منها منهم عليه \
عليها عليهم عنه عنها اليه اليها و ف ب ل ك يا لدي هنا هناك ولا وما وان";

type Words = LazyLock<HashSet<&'static str>>;

static FRENCH_WORDS: Words = LazyLock::new(|| FRENCH.split_whitespace().collect());
static ENGLISH_WORDS: Words = LazyLock::new(|| ENGLISH.split_whitespace().collect());
static ARABIC_WORDS: Words = LazyLock::new(|| ARABIC.split_whitespace().collect());

pub(super) fn is_french(word: &str) -> bool {
    FRENCH_WORDS.contains(word)
}

pub(super) fn is_english(word: &str) -> bool {
    ENGLISH_WORDS.contains(word)
}

/// Also with the conjunction written onto it (`وفي`).
pub(super) fn is_arabic(word: &str) -> bool {
    ARABIC_WORDS.contains(word)
        || word
            .strip_prefix('و')
            .is_some_and(|rest| ARABIC_WORDS.contains(rest))
}
