{# A mart as the last build left it, or none. Not ref(): who asks runs before the mart is brought up to date. #}
{% macro built_relation(name) %}
    {{ return(adapter.get_relation(target.database, 'marts', name) if execute else none) }}
{% endmacro %}
