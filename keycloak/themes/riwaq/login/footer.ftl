<#-- Beneath every page: where a forgotten password is renewed (Riwaq does that, not Keycloak), and the languages as links,
     which need no script. -->
<#macro content>
  <#if pageId! == "login" && (client.baseUrl)?has_content>
    <p class="riwaq-forgot"><a href="${client.baseUrl?remove_ending('/')}/auth/forgot?lang=${lang}">${msg("doForgotPassword")}</a></p>
  </#if>
  <#if realm.internationalizationEnabled && locale.supported?size gt 1>
    <nav class="riwaq-languages" aria-label="${msg("languages")}">
      <ul>
        <#list locale.supported as l>
          <li><a href="${l.url}" lang="${l.languageTag}" hreflang="${l.languageTag}" dir="auto"<#if l.languageTag == locale.currentLanguageTag> aria-current="true"</#if>>${l.label}</a></li>
        </#list>
      </ul>
    </nav>
  </#if>
</#macro>
